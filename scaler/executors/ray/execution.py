"""The Ray executor: Ray Tune evaluates the driver's networks on a cluster."""

import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import ray
from ray import tune
from ray.tune.experiment import Trial

from scaler.config import ExecutorConfig
from scaler.errors import WorkError
from scaler.evaluation import Evaluator
from scaler.executors.driver import Driver
from scaler.executors.interrupts import Interrupts
from scaler.executors.ray.connection import connected
from scaler.executors.ray.desk import Desk
from scaler.executors.ray.resources import Room, share
from scaler.executors.ray.tuning import Ending, Suggestions, Verdicts, Watch
from scaler.executors.ray.worker import evaluate

_TUNE = {
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # no files of its own for each trial
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",  # nor of its own state: the study's storage has it
    "TUNE_MAX_PENDING_TRIALS_PG": "100000",  # it asks for all that there is room for, not for one after another
    "TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S": "86400",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_FORCE_TRIAL_CLEANUP_S": "5",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
}


def run_on_ray(driver: Driver, evaluator: Evaluator, config: ExecutorConfig, folder: Path) -> None:
    """Evaluates the driver's networks on a Ray cluster until there are no more; `folder` is for Tune's own files.

    A network that cannot be evaluated is recorded as failed and the run goes on; one whose worker or node is lost is
    queued again, `max_failures` times at most. An interrupt (Ctrl-C) queues the networks at hand again before it
    propagates. The evaluator must pickle; it is put into Ray's object store once. Raises `InputError` if there is no
    such cluster and `WorkError` if workers do not start.
    """
    desk = Desk(driver)
    with (
        Interrupts() as interrupts,
        connected(config),
        tempfile.TemporaryDirectory(prefix="ray-", dir=folder, ignore_cleanup_errors=True) as own,
    ):
        try:
            _tune(desk, evaluator, config, Path(own), lambda: interrupts.pending)
        finally:
            desk.close()


def _tune(desk: Desk, evaluator: Evaluator, config: ExecutorConfig, folder: Path, ends: Callable[[], bool]) -> None:
    wanted = share(config, ray.cluster_resources())
    trials: dict[str, Trial] = {}
    trainable = tune.with_resources(tune.with_parameters(evaluate, evaluator=evaluator), wanted.bundle)
    with _quiet_tune():
        tuner = tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                search_alg=Suggestions(desk, Room(config, wanted), ends),
                scheduler=Verdicts(desk, trials),
                num_samples=-1,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name=folder.name,
                storage_path=str(folder.parent.resolve()),
                stop=Ending(trials, ends),
                callbacks=[Watch(desk, trials)],
                failure_config=tune.FailureConfig(max_failures=0),
                verbose=0,
            ),
        )
        try:
            tuner.fit()
        except tune.TuneError as error:
            if isinstance(error.__cause__, WorkError):
                raise error.__cause__ from None
            raise


@contextmanager
def _quiet_tune() -> Iterator[None]:
    """Tune without output, files and limits of its own."""
    before = {name: os.environ.get(name) for name in _TUNE}
    loggers = [logging.getLogger("ray.tune"), logging.getLogger("ray.train")]
    levels = [logger.level for logger in loggers]
    os.environ.update(_TUNE)
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
