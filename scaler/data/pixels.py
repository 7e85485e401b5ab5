"""A split's decoded images: in memory, in a memory map, or decoded anew whenever they are wanted."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from scaler.data.decoding import end_with_parent, fresh_processes, pixels, without_main
from scaler.data.pictures import BadPictureError
from scaler.data.stores import Pictures
from scaler.errors import WorkError


class Pixels(Protocol):
    """uint8 images of one size, `shape` (n, channels, side, side)."""

    @property
    def shape(self) -> tuple[int, int, int, int]: ...

    def batches(self, order: torch.Tensor, batch_size: int) -> Iterator[torch.Tensor]:
        """The images (b, channels, side, side) of the given numbers, on the CPU."""


@dataclass(frozen=True, slots=True)
class InMemory:
    """A few images, kept as they are."""

    images: torch.Tensor

    @property
    def shape(self) -> tuple[int, int, int, int]:
        count, channels, side, _ = self.images.shape
        return count, channels, side, side

    def batches(self, order: torch.Tensor, batch_size: int) -> Iterator[torch.Tensor]:
        for chosen in order.split(batch_size):
            yield self.images.index_select(0, chosen)


class Mapped:
    """A raw file, mapped into memory when first used; only its path is pickled."""

    def __init__(self, file: Path, shape: tuple[int, int, int, int]) -> None:
        self.file = file
        self.shape = shape
        self._images: torch.Tensor | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_images": None}

    def batches(self, order: torch.Tensor, batch_size: int) -> Iterator[torch.Tensor]:
        if self._images is None:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "The given NumPy array is not writable")
                self._images = torch.from_numpy(np.memmap(self.file, np.uint8, "r", shape=self.shape))
        for chosen in order.split(batch_size):
            yield self._images.index_select(0, chosen)


class Streamed:
    """Pictures that worker processes decode to `side` pixels each time, a batch each; they live as long as this.

    Only one iteration over it goes on at a time: a new one ends the one before.
    """

    def __init__(self, pictures: Pictures, channels: int, side: int, workers: int) -> None:
        self.shape = len(pictures), channels, side, side
        self._pictures = pictures
        self._workers = workers
        self._order: list[list[int]] = []
        self._loader: DataLoader[Any] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_loader": None, "_order": []}

    def batches(self, order: torch.Tensor, batch_size: int) -> Iterator[torch.Tensor]:
        self._order[:] = [chosen.tolist() for chosen in order.split(batch_size)]
        if self._loader is None:
            workers = 0 if torch.multiprocessing.current_process().daemon else self._workers
            self._loader = DataLoader(
                _Batches(self._pictures, *self.shape[1:3]),
                sampler=self._order,
                batch_size=None,
                collate_fn=_as_it_is,
                num_workers=workers,
                multiprocessing_context=fresh_processes() if workers else None,
                worker_init_fn=_start_worker if workers else None,
                persistent_workers=workers > 0,
            )
        with without_main():
            loaded = iter(self._loader)
        for batch in loaded:
            if isinstance(batch, str):
                raise WorkError(f"{batch} can no longer be read; put it back, or start again without it")
            yield torch.from_numpy(batch)


class _Batches(Dataset[NDArray[np.uint8] | str]):
    """Batches of images by their numbers, or the name of a picture that can no longer be read, with the reason."""

    def __init__(self, pictures: Pictures, channels: int, side: int) -> None:
        self._pictures = pictures
        self._channels = channels
        self._side = side

    def __getitem__(self, chosen: Sequence[int]) -> NDArray[np.uint8] | str:
        rows = []
        for index in chosen:
            try:
                rows.append(pixels(self._pictures.open(index, self._channels), self._side))
            except BadPictureError as error:  # as text: the loader would raise it with a traceback for a message
                return f"{self._pictures.name(index)} ({error})"
        return np.stack(rows)


def _as_it_is(batch: Any) -> Any:
    """An array, not a tensor: tensors travel through shared memory, of which containers have little."""
    return batch


def _start_worker(_: int) -> None:
    end_with_parent()
