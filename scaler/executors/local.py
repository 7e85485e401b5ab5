"""The local executor: one network after another in this process."""

import logging
from functools import partial

from scaler.evaluation import EvaluationError, Evaluator
from scaler.executors.driver import Driver

_LOG = logging.getLogger(__name__)


def run_locally(driver: Driver, evaluator: Evaluator) -> None:
    """Evaluates the driver's networks until there are no more.

    A network that cannot be evaluated is recorded as failed and the run goes on. An interrupt (Ctrl-C) queues the
    network at hand again before it propagates.
    """
    while (job := driver.ask()) is not None:
        try:
            result = evaluator(job.record.architecture, job.record.seed, partial(driver.report, job))
        except EvaluationError as error:
            driver.fail(job, str(error))
        except KeyboardInterrupt:
            driver.interrupt(job)
            raise
        except Exception as error:
            _LOG.exception("trial %d crashed", job.trial.number)
            driver.fail(job, f"{type(error).__name__}: {error}")
        else:
            driver.tell(job, result)
