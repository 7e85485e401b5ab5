"""The local executor with several worker processes: this process alone asks, tells and talks to the storage."""

import contextlib
import logging
import os
import pickle
import signal
import subprocess
import sys
import tempfile
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from scaler.errors import WorkError
from scaler.evaluation import Evaluator
from scaler.executors.driver import Driver
from scaler.executors.interrupts import Interrupts
from scaler.executors.machine import Capacity
from scaler.executors.observer import Job

_LOG = logging.getLogger(__name__)

_TICK = 0.5
"""Seconds between two looks at time limits, and at workers that died while something held their pipe open."""
_GRACE = 1.0
"""Seconds that a worker gets to end by itself."""
_MAX_FAILED_STARTS = 3
_MAX_PRINTED = 1_000_000


class _Worker:
    """A process that evaluates one network at a time.

    evaluator  descriptor of the file with the pickled evaluator
    output     descriptor of the file for what it prints
    threads    CPU threads; None leaves the libraries' own number

    job    what it was given, None if it is free
    ready  whether it has loaded the evaluator; before that it is sent nothing
    """

    def __init__(self, evaluator: int, output: int, threads: int | None) -> None:
        self.job: Job | None = None
        self.ready = False
        self.connection: Connection[Any, Any]
        self.connection, theirs = Pipe()
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
        if threads is not None:  # torch reads these when it is loaded
            environment |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
        # A fresh interpreter as with multiprocessing's "spawn", except that it does not run the user's own script
        # again, which would start a search in every worker of a script that has no `if __name__ == "__main__"`.
        program = [sys.executable, "-P", str(Path(__file__).with_name("worker.py"))]
        # The worker inherits that Ctrl-C is blocked, until it has said that it ignores it.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            with theirs:
                self._process = subprocess.Popen(
                    [*program, str(theirs.fileno()), str(evaluator)],
                    pass_fds=[theirs.fileno(), evaluator],
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=output,
                    env=environment,
                )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    @property
    def is_dead(self) -> bool:
        return self._process.poll() is not None

    def send(self, message: object) -> None:
        with contextlib.suppress(OSError):  # it is dead then, which the next look at it shows
            self.connection.send(message)

    def end(self) -> None:
        """Tells the process to end now, in the middle of whatever it is doing."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def bury(self) -> str:
        """Waits for the process to end, kills it if it does not; returns how it ended."""
        self.end()
        try:
            code = self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self.connection.close()
        return f"signal {-code}" if code < 0 else f"exit code {code}"


class _Pool:
    """Up to `capacity.workers` workers, started when there is a network for them, and the loop that serves them."""

    def __init__(self, driver: Driver, capacity: Capacity, evaluator: int, output: int, interrupts: Interrupts) -> None:
        self._driver = driver
        self._capacity = capacity
        self._evaluator = evaluator
        self._output = output
        self._interrupts = interrupts
        self._workers: list[_Worker] = []
        self._failed_starts = 0

    def run(self) -> None:
        self._hand_out()
        while any(worker.job for worker in self._workers):
            with self._interrupts.allowed():
                heard = wait([worker.connection for worker in self._workers], timeout=_TICK)
            for worker in list(self._workers):
                if worker.connection in heard or worker.is_dead:
                    self._hear(worker)
                elif worker.ready and worker.job is not None and self._driver.is_overdue(worker.job):
                    self._remove(worker)
                    self._driver.time_out(self._free(worker))
                    self._hand_out()

    def close(self) -> None:
        """Ends the workers and queues what they were at again."""
        for worker in self._workers:
            worker.end()
        for worker in self._workers:
            worker.bury()
        if printed := self._printed():
            _LOG.warning("workers printed:\n%s", printed)
        for worker in self._workers:
            if worker.job is not None:
                self._driver.interrupt(worker.job)

    def _hand_out(self) -> None:
        while sum(worker.job is not None for worker in self._workers) < self._capacity.workers:
            job = self._driver.ask()
            if job is None:
                return
            worker = next((worker for worker in self._workers if worker.job is None), None)
            if worker is None:
                worker = _Worker(self._evaluator, self._output, self._capacity.threads)
                self._workers.append(worker)
            worker.job = job
            if worker.ready:
                self._send(worker)

    def _send(self, worker: _Worker) -> None:
        assert worker.job is not None
        self._driver.begin(worker.job)
        worker.send((worker.job.record.architecture, worker.job.record.seed))

    def _hear(self, worker: _Worker) -> None:
        """Takes one message from a worker, or finds that it is dead."""
        try:
            # A dead worker may have said its last words before; a pipe kept open by somebody else says nothing more.
            message = worker.connection.recv() if worker.connection.poll() else None
        except (EOFError, OSError):
            message = None
        job = worker.job
        match message:
            case None:
                self._bury(worker)
            case ("ready",):
                worker.ready = True
                self._failed_starts = 0
                if job is not None:
                    self._send(worker)
            case ("report", epoch, accuracy):
                assert job is not None
                worker.send(self._driver.report(job, epoch, accuracy))
            case ("result", result):
                self._driver.tell(self._free(worker), result)
                self._hand_out()
            case ("failure", reason, details):
                job = self._free(worker)
                if details is not None:
                    _LOG.error("trial %d crashed\n%s", job.trial.number, details)
                self._driver.fail(job, reason)
                self._hand_out()

    def _bury(self, worker: _Worker) -> None:
        """Takes a dead worker's place: its network is queued again, or fails if it has cost too many workers."""
        reason = self._remove(worker)
        job, worker.job = worker.job, None
        if worker.ready and job is not None:
            self._driver.died(job, f"worker died: {reason}")
        elif job is not None:
            self._driver.interrupt(job)
        if not worker.ready:
            self._failed_starts += 1
            if self._failed_starts == _MAX_FAILED_STARTS:
                last = [reason, *self._printed().splitlines()][-1]
                raise WorkError(f"executor: worker processes do not start ({last})")
        self._hand_out()

    def _printed(self) -> str:
        """What the workers have written to standard output and error."""
        return os.pread(self._output, _MAX_PRINTED, 0).decode(errors="replace").strip()

    def _remove(self, worker: _Worker) -> str:
        self._workers.remove(worker)
        return worker.bury()

    @staticmethod
    def _free(worker: _Worker) -> Job:
        job, worker.job = worker.job, None
        assert job is not None
        return job


def run_in_pool(driver: Driver, evaluator: Evaluator, capacity: Capacity) -> None:
    """`run_locally` with worker processes: the evaluator must pickle.

    A worker that dies (killed, out of memory) is replaced and its network queued again, up to a limit. Networks that
    workers are at when this process is interrupted are queued again; workers end when this process does, however it
    ends. Raises `WorkError` if workers do not even start.
    """
    # Files without a name: nothing is left behind however this process ends, and nobody can plant another pickle.
    with tempfile.TemporaryFile() as file, tempfile.TemporaryFile() as output, Interrupts() as interrupts:
        pickle.dump(evaluator, file)
        file.flush()
        pool = _Pool(driver, capacity, file.fileno(), output.fileno(), interrupts)
        try:
            pool.run()
        finally:
            pool.close()
