"""`make bench`: every benchmark of the project, one after the other; all figures are ratios measured in one run."""

import subprocess
import sys

from tests.bench import board, cost, driver, fusing, ray_workers, sampler, training, workers
from tests.bench import input as input_images

if __name__ == "__main__":
    cost.main()
    input_images.main()
    training.main()
    fusing.main()
    workers.main()
    ray_workers.main()
    subprocess.run([sys.executable, "-m", "tests.bench.utilisation"], check=True)  # Ray takes one cluster a process
    sampler.main()
    driver.main()
    board.main([])
