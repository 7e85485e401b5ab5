"""Where pictures lie: files, arrays, shards, timm's data sets; all opened by number and small to pickle."""

import json
import os
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from scaler.data.idx import read_idx
from scaler.data.pictures import BadPictureError, open_picture, read_size

Indices = NDArray[np.int64]


class Pictures(Protocol):
    """Pictures by number. Whatever is wrong with one of them raises `BadPictureError`.

    costly says whether opening one takes long enough for a pool of processes to be worth starting.
    """

    @property
    def costly(self) -> bool: ...

    def __len__(self) -> int: ...

    def open(self, index: int, channels: int | None = None) -> Image.Image:
        """The picture in full size, upright, of mode L or RGB: see `open_picture`."""

    def size(self, index: int) -> tuple[int, int, int]:
        """Width, height and channels, from the header alone where there is one."""

    def name(self, index: int) -> str:
        """What to call the picture in a message."""

    def subset(self, indices: Indices) -> Self:
        """Some of the pictures, in the given order."""

    def fingerprint(self) -> Iterator[str]:
        """Lines that change whenever the pictures may have changed."""


def shown(name: str) -> str:
    """A file's name as a person reads it: composed (NFC), with a mark for what is no Unicode."""
    return unicodedata.normalize("NFC", os.fsencode(name).decode("utf-8", "replace"))


class FilePictures:
    """Files below a folder: `names` are paths relative to `root`.

    A listing is a JSON file whose "files" are the names; with one, only its path is pickled.
    """

    costly = True

    def __init__(self, root: Path, names: Sequence[str], listing: Path | None = None) -> None:
        self.root = root
        self._names: Sequence[str] | None = names
        self._listing = listing

    @property
    def names(self) -> Sequence[str]:
        """Paths relative to the root."""
        if self._names is None:
            assert self._listing is not None
            self._names = json.loads(self._listing.read_text(encoding="utf-8", errors="surrogateescape"))["files"]
        assert self._names is not None
        return self._names

    def listed_in(self, listing: Path) -> "FilePictures":
        """The same pictures, pickled by reference to a listing that holds their names."""
        return FilePictures(self.root, self.names, listing)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_names": self._names if self._listing is None else None}

    def __len__(self) -> int:
        return len(self.names)

    def open(self, index: int, channels: int | None = None) -> Image.Image:
        return open_picture(self.root / self.names[index], channels)

    def size(self, index: int) -> tuple[int, int, int]:
        return read_size(self.root / self.names[index])

    def name(self, index: int) -> str:
        return shown(self.names[index])

    def subset(self, indices: Indices) -> "FilePictures":
        return FilePictures(self.root, [self.names[index] for index in indices.tolist()])

    def fingerprint(self) -> Iterator[str]:
        for name in self.names:
            try:
                found = os.stat(self.root / name)
                yield f"{name}\0{found.st_size}\0{found.st_mtime_ns}"
            except OSError:
                yield f"{name}\0gone"


@dataclass(frozen=True, slots=True)
class ArrayPictures:
    """Grey pictures of one size in an array: an IDX file's, or without a file scikit-learn's digits."""

    indices: Indices
    file: Path | None = None

    @property
    def costly(self) -> bool:
        return False

    def __len__(self) -> int:
        return len(self.indices)

    def open(self, index: int, channels: int | None = None) -> Image.Image:
        image = Image.fromarray(self._array()[self.indices[index]])
        return image.convert("RGB") if channels == 3 else image

    def size(self, index: int) -> tuple[int, int, int]:
        height, width = self._array().shape[1:]
        return width, height, 1

    def name(self, index: int) -> str:
        return f"{self.file.name if self.file else 'digits'}[{self.indices[index]}]"

    def subset(self, indices: Indices) -> "ArrayPictures":
        return replace(self, indices=self.indices[indices])

    def fingerprint(self) -> Iterator[str]:
        if self.file is not None:
            found = self.file.stat()
            yield f"{self.file.name}\0{found.st_size}\0{found.st_mtime_ns}"
        yield self.indices.tobytes().hex()

    def _array(self) -> NDArray[np.uint8]:
        return digits()[0] if self.file is None else _idx_array(self.file)


@dataclass(frozen=True, slots=True)
class TimmPictures:
    """One split of a data set that `timm.data.create_dataset` opens by number."""

    dataset: str
    root: str | None
    split: str
    indices: Indices

    @property
    def costly(self) -> bool:
        return not hasattr(timm_dataset(self.dataset, self.root, self.split), "data")  # torchvision's arrays in memory

    def __len__(self) -> int:
        return len(self.indices)

    def open(self, index: int, channels: int | None = None) -> Image.Image:
        opened = timm_dataset(self.dataset, self.root, self.split)
        number = int(self.indices[index])
        if hasattr(opened, "reader"):
            return open_picture(self._stream(opened.reader, number), channels)
        try:
            image: Image.Image = opened[number][0]
        except Exception as error:  # decoders raise almost anything for damaged files
            raise BadPictureError(" ".join(str(error).split()) or type(error).__name__) from None
        mode = {None: "L" if image.mode == "L" else "RGB", 1: "L", 3: "RGB"}[channels]
        return image if image.mode == mode else image.convert(mode)

    def size(self, index: int) -> tuple[int, int, int]:
        opened = timm_dataset(self.dataset, self.root, self.split)
        if hasattr(opened, "reader"):
            return read_size(self._stream(opened.reader, int(self.indices[index])))
        image = self.open(index)
        return image.width, image.height, len(image.getbands())

    def name(self, index: int) -> str:
        return f"{self.dataset}/{self.split}[{self.indices[index]}]"

    def subset(self, indices: Indices) -> "TimmPictures":
        return replace(self, indices=self.indices[indices])

    def fingerprint(self) -> Iterator[str]:
        opened = timm_dataset(self.dataset, self.root, self.split)
        table = getattr(getattr(opened, "reader", None), "dataset", None)
        yield f"{self.dataset}\0{self.root}\0{self.split}\0{getattr(table, '_fingerprint', '')}"
        yield self.indices.tobytes().hex()

    def _stream(self, reader: Any, number: int) -> BytesIO:
        try:
            stream = reader[number][0]
        except Exception as error:  # as above
            raise BadPictureError(" ".join(str(error).split()) or type(error).__name__) from None
        with stream:
            return BytesIO(stream.read())


@dataclass(frozen=True, slots=True)
class TarPictures:
    """Members of tar files: a row of `places` is (shard, offset, size)."""

    shards: tuple[Path, ...]
    places: NDArray[np.int64]

    @property
    def costly(self) -> bool:
        return True

    def __len__(self) -> int:
        return len(self.places)

    def open(self, index: int, channels: int | None = None) -> Image.Image:
        return open_picture(self._stream(index), channels)

    def size(self, index: int) -> tuple[int, int, int]:
        return read_size(self._stream(index))

    def name(self, index: int) -> str:
        shard, offset, _ = self.places[index].tolist()
        return f"{self.shards[shard].name} at byte {offset}"

    def subset(self, indices: Indices) -> "TarPictures":
        return replace(self, places=self.places[indices])

    def fingerprint(self) -> Iterator[str]:
        for shard in self.shards:
            found = shard.stat()
            yield f"{shard.name}\0{found.st_size}\0{found.st_mtime_ns}"
        yield self.places.tobytes().hex()

    def _stream(self, index: int) -> BytesIO:
        shard, offset, size = self.places[index].tolist()
        try:
            with self.shards[shard].open("rb") as file:
                file.seek(offset)
                return BytesIO(file.read(size))
        except OSError as error:
            raise BadPictureError((error.strerror or str(error)).lower()) from None


@lru_cache(maxsize=1)
def digits() -> tuple[NDArray[np.uint8], NDArray[np.int64], tuple[str, ...]]:
    """1,797 handwritten digits of 8 × 8 grey pixels, shipped with scikit-learn (UCI Optical Recognition): (n, 8, 8)."""
    from sklearn.datasets import load_digits

    found = load_digits()
    images = np.round(found.images * (255 / 16)).astype(np.uint8)
    return images, found.target.astype(np.int64), tuple(str(name) for name in found.target_names)


@lru_cache(maxsize=2)
def _idx_array(file: Path) -> NDArray[np.uint8]:
    return read_idx(file)


@lru_cache(maxsize=4)
def timm_dataset(name: str, root: str | None, split: str) -> Any:
    """A split of a data set as timm opens it; each process opens it once."""
    from timm.data import create_dataset

    return create_dataset(name, root=root, split=split, input_img_mode="")
