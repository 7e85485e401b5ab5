"""`make bench`: every benchmark of the project, one after the other; all figures are ratios measured in one run."""

from tests.bench import board, cost, driver, sampler, training, workers
from tests.bench import input as input_images

if __name__ == "__main__":
    cost.main()
    input_images.main()
    training.main()
    workers.main()
    sampler.main()
    driver.main()
    board.main([])
