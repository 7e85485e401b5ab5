"""Evaluators of known behaviour; they live in a module so that worker processes can load them."""

import math
import os
import signal
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from scaler import Architecture
from scaler.evaluation import EvaluationError, Report, Result


def table(architecture: Architecture, seed: int, report: Report) -> Result:
    """Three epochs whose accuracy follows from the network's numbers."""
    accuracy = 0.5 + architecture.resolution / 200
    for epoch in (1, 2, 3):
        if not report(epoch, accuracy * epoch / 3):
            return Result(accuracy=accuracy * epoch / 3, epochs=epoch, stopped=True)
    with tempfile.NamedTemporaryFile(delete=False) as file:
        file.write(b"weights")
    return Result(accuracy=accuracy, epochs=3, device="table", weights=Path(file.name))


@dataclass(frozen=True)
class Calls:
    """Counts calls over all processes: each makes one file in `folder`, which also holds who called."""

    folder: Path

    def next(self) -> int:
        """The number of this call, from 0."""
        own = self.folder.with_name(f"{self.folder.name}-{os.getpid()}")
        if not own.exists():  # else it has links, under which it may just be read
            own.write_text(str(os.getpid()))
        number = 0
        while True:
            try:
                os.link(own, self.folder / str(number))
            except FileExistsError:
                number += 1
            else:
                return number

    def processes(self) -> list[int]:
        """The ids of the processes that have called, one for each call."""
        files = sorted(self.folder.iterdir(), key=lambda file: int(file.name))
        return [int(file.read_text()) for file in files]


@dataclass(frozen=True)
class Flaky:
    """Fails in three ways in turn, then succeeds."""

    calls: Calls

    def __call__(self, architecture: Architecture, seed: int, report: Report) -> Result:
        match self.calls.next() % 4:
            case 0:
                raise EvaluationError("loss not finite in epoch 1")
            case 1:
                raise RuntimeError("out of memory")
            case 2:
                return Result(accuracy=math.nan, epochs=1)
        return table(architecture, seed, report)


@dataclass(frozen=True)
class Faulty:
    """Every tenth call goes wrong, in four ways in turn; the first is what the kernel does when memory runs out."""

    calls: Calls

    def __call__(self, architecture: Architecture, seed: int, report: Report) -> Result:
        call = self.calls.next()
        if call % 10 == 9:
            match call // 10 % 4:
                case 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                case 1:
                    raise RuntimeError("no memory")
                case 2:
                    return Result(accuracy=math.nan, epochs=1)
                case 3:
                    return Result(accuracy=math.inf, epochs=1)
        return table(architecture, seed, report)


@dataclass(frozen=True)
class Worsening:
    """Each network is half as good as the one before."""

    calls: Calls

    def __call__(self, architecture: Architecture, seed: int, report: Report) -> Result:
        accuracy = 0.5 ** self.calls.next()
        for epoch in (1, 2, 3):
            if not report(epoch, accuracy):
                return Result(accuracy=accuracy, epochs=epoch, stopped=True)
        return Result(accuracy=accuracy, epochs=3)


@dataclass(frozen=True)
class Slow:
    """`epochs` epochs of `seconds` each; the calls in `only`, all by default, others are quick."""

    calls: Calls
    seconds: float
    epochs: int = 3
    only: frozenset[int] | None = None

    def __call__(self, architecture: Architecture, seed: int, report: Report) -> Result:
        call = self.calls.next()
        if self.only is not None and call not in self.only:
            return table(architecture, seed, report)
        for epoch in range(1, self.epochs + 1):
            time.sleep(self.seconds)
            if not report(epoch, 0.5):
                return Result(accuracy=0.5, epochs=epoch, stopped=epoch < self.epochs)
        return Result(accuracy=0.5, epochs=self.epochs)


@dataclass(frozen=True)
class Killed:
    """Kills its own process when it first meets each of the first `networks` networks, and whenever at `digest`."""

    calls: Calls
    networks: int = 0
    digest: str = ""

    def __call__(self, architecture: Architecture, seed: int, report: Report) -> Result:
        self.calls.next()
        if self._is_new(architecture.digest) or architecture.digest == self.digest:
            os.kill(os.getpid(), signal.SIGKILL)
        return table(architecture, seed, report)

    def _is_new(self, digest: str) -> bool:
        """Whether the network is met for the first time and is one of the first."""
        for number in range(self.networks):
            place = self.calls.folder.with_name(f"killed-{number}")
            try:
                place.symlink_to(digest)
            except FileExistsError:
                if place.readlink().name == digest:
                    return False
            else:
                return True
        return False


@dataclass(frozen=True)
class Threads:
    """Says in place of an accuracy how many threads this process was given, by its environment and by torch."""

    def __call__(self, architecture: Architecture, seed: int, report: Report) -> Result:
        import torch

        device = f"{os.environ.get('OMP_NUM_THREADS')} {os.environ.get('MKL_NUM_THREADS')} {torch.get_num_threads()}"
        return Result(accuracy=0.5, epochs=1, device=device)


class Unloadable:
    """Pickles, but not back."""

    def __call__(self, architecture: Architecture, seed: int, report: Report) -> Result:
        raise AssertionError("never loaded, never called")

    def __reduce__(self) -> tuple:
        return int, ("no number",)
