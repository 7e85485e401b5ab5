"""The local executor: one network after another in this process, or several at a time in worker processes."""

import logging

from scaler.evaluation import EvaluationError, Evaluator
from scaler.executors.driver import Driver
from scaler.executors.interrupts import Interrupts
from scaler.executors.machine import Capacity
from scaler.executors.observer import Job
from scaler.executors.pool import run_in_pool

_LOG = logging.getLogger(__name__)


def run_locally(driver: Driver, evaluator: Evaluator, capacity: Capacity | None = None) -> None:
    """Evaluates the driver's networks until there are no more; with one worker, the default, in this process.

    A network that cannot be evaluated is recorded as failed and the run goes on. An interrupt (Ctrl-C) queues the
    networks at hand again before it propagates. Time limits are looked at whenever the evaluator reports, in worker
    processes at any time.
    """
    if capacity is not None and capacity.workers > 1:
        run_in_pool(driver, evaluator, capacity)
        return
    with Interrupts() as interrupts:
        while (job := driver.ask()) is not None:
            _evaluate(driver, evaluator, job, interrupts)


def _evaluate(driver: Driver, evaluator: Evaluator, job: Job, interrupts: Interrupts) -> None:
    def report(epoch: int, accuracy: float) -> bool:
        with interrupts.allowed(False):
            return driver.report(job, epoch, accuracy)

    driver.begin(job)
    try:
        with interrupts.allowed():
            result = evaluator(job.record.architecture, job.record.seed, report)
    except EvaluationError as error:
        driver.fail(job, str(error))
    except KeyboardInterrupt:
        driver.interrupt(job)
        raise
    except Exception as error:  # whatever an evaluator raises is one network's failure, not the search's
        _LOG.exception("trial %d crashed", job.trial.number)
        driver.fail(job, f"{type(error).__name__}: {error}")
    else:
        driver.tell(job, result)
