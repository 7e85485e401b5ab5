"""What runs in a Ray worker: one network's evaluation, as a trainable function of Ray Tune.

What it reports to Tune: for each epoch `EPOCH` and `ACCURACY`, in the end `END` alone, which holds an `End`. Reporting
waits until the driver has seen it, so the driver's wish to stop early, if any, has arrived when it returns.
"""

import dataclasses
import threading
import traceback
from dataclasses import dataclass
from typing import Any

import numpy as np
import ray
from numpy.typing import NDArray
from ray import tune

from scaler.evaluation import EvaluationError, Evaluator, Result
from scaler.families import from_dict

EPOCH, ACCURACY, END = "epoch", "accuracy", "end"

_STOP = threading.Event()  # of the one evaluation that this process is at


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How an evaluation ended: with a result, or with the reason for which there is none.

    result   without its file of weights, which is on the worker's disk
    weights  that file's bytes in Ray's object store, as an array so that they are not copied on the way
    details  the traceback of an unexpected error
    """

    result: Result | None = None
    weights: "ray.ObjectRef[NDArray[np.uint8]] | None" = None
    reason: str = ""
    details: str | None = None


def evaluate(config: dict[str, Any], evaluator: Evaluator) -> None:
    """Evaluates the network in `config` ("architecture" as a dict, "seed"); whatever goes wrong is reported."""
    _STOP.clear()
    tune.report({END: _evaluated(config, evaluator)})


def stop(trainable: object) -> None:
    """Has the evaluation in this process stop after the epoch that it has just reported; runs between two epochs."""
    _STOP.set()


def _evaluated(config: dict[str, Any], evaluator: Evaluator) -> End:
    def report(epoch: int, accuracy: float) -> bool:
        tune.report({EPOCH: epoch, ACCURACY: accuracy})
        return not _STOP.is_set()

    try:
        result = evaluator(from_dict(config["architecture"]), config["seed"], report)
        weights = None
        if result.weights is not None:
            weights = ray.put(np.fromfile(result.weights, np.uint8))
            result.weights.unlink()
        return End(result=dataclasses.replace(result, weights=None), weights=weights)
    except EvaluationError as error:
        return End(reason=str(error))
    except Exception as error:  # whatever an evaluator raises is one network's failure, not the search's
        return End(reason=f"{type(error).__name__}: {error}", details=traceback.format_exc())
