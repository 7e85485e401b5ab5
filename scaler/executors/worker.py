"""A worker process of the local executor: evaluates the networks that its parent sends, one after another.

Run as a file, `worker.py CONNECTION EVALUATOR` (descriptors of a pipe and of a file with a pickle), so that it loads
what the evaluator needs and nothing of the search: no Optuna, no storage. What it sends: `("ready",)` once, then for
each network any number of `("report", epoch, accuracy)`, each answered with whether to go on, and in the end
`("result", Result)` or `("failure", reason, traceback or None)`.
"""

import mmap
import os
import pickle
import signal
import sys
import threading
import traceback
from multiprocessing.connection import Connection
from typing import Any

from scaler.evaluation import EvaluationError, Evaluator


def serve(connection: "Connection[Any, Any]", evaluator: Evaluator) -> None:
    """Evaluates (architecture, seed) after (architecture, seed) for as long as the parent sends them."""

    def report(epoch: int, accuracy: float) -> bool:
        connection.send(("report", epoch, accuracy))
        return bool(connection.recv())

    connection.send(("ready",))
    while True:
        architecture, seed = connection.recv()
        try:
            result = evaluator(architecture, seed, report)
        except EvaluationError as error:
            connection.send(("failure", str(error), None))
        except Exception as error:  # whatever an evaluator raises is one network's failure, not the search's
            connection.send(("failure", f"{type(error).__name__}: {error}", traceback.format_exc()))
        else:
            connection.send(("result", result))


def _end_with_parent() -> None:
    """Ends this process at once, whatever it is doing, when the parent closes its standard input or dies."""
    os.read(sys.stdin.fileno(), 1)  # nothing is ever written; the file object's lock would outlast this thread
    os._exit(1)


def main() -> None:
    """Serves the parent. Ctrl-C, which a terminal sends to parent and workers alike, is the parent's business."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with_parent, daemon=True).start()
    pipe, file = map(int, sys.argv[1:])
    with mmap.mmap(file, 0, access=mmap.ACCESS_READ) as pickled:  # all workers share the descriptor's position
        evaluator = pickle.loads(pickled)
    serve(Connection(pipe), evaluator)


if __name__ == "__main__":
    main()
