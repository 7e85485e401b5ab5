"""The processes that train one network together, as torchrun starts them: one a device."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import distributed


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
    """The group that torchrun put this process in, for as long as the context lasts; `ALONE` without torchrun."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        yield ALONE
        return
    distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield Group(distributed.get_rank(), distributed.get_world_size(), int(os.environ["LOCAL_RANK"]))
    finally:
        distributed.destroy_process_group()
