"""A search as a program of its own, to be killed: `python -m tests.executors.search CALLS [ray]` in the tiny study's
folder.

Every network takes a minute; whoever evaluates one leaves its process id in the folder CALLS.
"""

import sys
from pathlib import Path

from scaler import load_study
from scaler.executors import Capacity, Driver, run_locally
from scaler.study import open_study
from scaler.workflow import domain_of
from tests.executors.conftest import on_ray
from tests.executors.evaluators import Calls, Slow

if __name__ == "__main__":
    config = load_study("tiny")
    driver = Driver(open_study(config), config, domain_of(config))
    evaluator = Slow(Calls(Path(sys.argv[1])), seconds=60)
    try:
        if sys.argv[2:] == ["ray"]:
            on_ray(driver, evaluator)
        else:
            run_locally(driver, evaluator, Capacity(2, 1))
    except KeyboardInterrupt:
        sys.exit(130)
