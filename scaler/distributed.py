"""The processes that train one network together, one a device, started by `launch` or by torchrun."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import torch
from torch import distributed

from scaler.cores import available_cores

_MEETING_PLACE = "SCALER_MEETING_PLACE"


@dataclass(frozen=True, slots=True)
class Group:
    """This process among those that train together.

    rank   its number, from 0
    size   how many there are
    local  its number on this machine, which is that of its device
    """

    rank: int = 0
    size: int = 1
    local: int = 0

    @property
    def leads(self) -> bool:
        """Whether this process evaluates, reports and writes files for all."""
        return self.rank == 0

    def from_leader(self, values: Sequence[float]) -> list[float]:
        """The leader's values, in every process."""
        if self.size == 1:
            return list(values)
        device = torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else "cpu"
        tensor = torch.tensor(values, dtype=torch.float64, device=device)
        distributed.broadcast(tensor, src=0)
        found: list[float] = tensor.tolist()
        return found

    def all_told(self, decision: bool) -> bool:
        """The leader's decision, in every process."""
        return bool(self.from_leader([decision])[0])


ALONE = Group()


@contextmanager
def joined() -> Iterator[Group]:
    """The group that `launch` or torchrun put this process in, as long as the context lasts; else `ALONE`."""
    if _MEETING_PLACE not in os.environ and "TORCHELASTIC_RUN_ID" not in os.environ:
        yield ALONE
        return
    distributed.init_process_group(
        "nccl" if torch.cuda.is_available() else "gloo",
        init_method=os.environ.get(_MEETING_PLACE, "env://"),
        rank=int(os.environ["RANK"]),
        world_size=int(os.environ["WORLD_SIZE"]),
    )
    try:
        yield Group(distributed.get_rank(), distributed.get_world_size(), int(os.environ["LOCAL_RANK"]))
    finally:
        distributed.destroy_process_group()


def launch(size: int, command: Sequence[str]) -> int:
    """Runs `command` in `size` processes of this machine that are one group; returns the first exit code that is not 0.

    They meet through a file and talk over the loopback interface alone. When one fails, the others are ended.
    """
    threads = max(1, available_cores() // size)
    with tempfile.TemporaryDirectory(prefix="scaler-") as folder:
        shared = {
            "OMP_NUM_THREADS": str(threads),
            "GLOO_SOCKET_IFNAME": "lo0" if sys.platform == "darwin" else "lo",
            **os.environ,
            "WORLD_SIZE": str(size),
            _MEETING_PLACE: f"file://{folder}/meeting",
        }
        processes = [
            subprocess.Popen(command, env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)})
            for rank in range(size)
        ]
        try:
            return _wait(processes)
        finally:
            for process in processes:
                process.terminate()
                process.wait()


def _wait(processes: Sequence["subprocess.Popen[bytes]"]) -> int:
    while True:
        codes = [process.poll() for process in processes]
        failed = [code for code in codes if code]
        if failed or all(code is not None for code in codes):
            return failed[0] if failed else 0
        with suppress(KeyboardInterrupt):  # the processes have been interrupted too, and end by themselves
            time.sleep(0.1)
