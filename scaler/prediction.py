"""Pictures classified by an exported network, with timm's own eval transform: from the export's folder alone."""

import glob
import importlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
from timm.data import create_transform, resolve_data_config
from torch import nn

from scaler.data.decoding import trimmed
from scaler.data.pictures import BadPictureError, find_pictures, is_image_name, natural_key, open_picture
from scaler.errors import InputError
from scaler.export_folder import WEIGHTS, read_export
from scaler.hardware import pick_device
from scaler.weights import put_weights

BATCH_SIZE = 64
"""Pictures in a batch unless the caller says otherwise."""

OnBad = Callable[[str, str], None]
"""What is told the file and the reason for each picture that cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What a network says of a picture.

    file         the picture, as it was named
    label        the most probable class
    probability  its softmax probability
    top          the most probable classes and their probabilities, most probable first
    """

    file: str
    label: str
    probability: float
    top: tuple[tuple[str, float], ...]


def predict(
    folder: str | Path,
    images: str | Path | Iterable[str | Path],
    *,
    top: int = 5,
    batch_size: int = BATCH_SIZE,
    on_bad: OnBad | None = None,
    device: torch.device | None = None,
) -> list[Prediction]:
    """Classifies pictures with the network that `export` wrote to `folder`, in the order of `find_images`.

    `images` are files, folders (searched to the bottom) and patterns (`photos/*.jpg`). `on_bad` is told the file and
    the reason for each picture that cannot be read, which is then left out; without it, such a picture is an error.
    Raises `InputError` for a folder that is no export, for images that are not there or cannot be read.
    """
    files = find_images([images] if isinstance(images, (str, Path)) else images)
    return list(Predictor(folder, device).predict(files, top=top, batch_size=batch_size, on_bad=on_bad))


def find_images(images: Iterable[str | Path]) -> list[str]:
    """The files behind names of files, folders and patterns, each once, written as they were named.

    What is named is taken in the order given, what a folder or a pattern holds in natural order, and of that only what
    is a picture by its suffix and not hidden. Raises `InputError` for a name behind which there is nothing.
    """
    found: dict[str, None] = {}
    for image in map(str, images):
        files = list(_behind(image))
        if not files:
            raise InputError(f"images: there is no image in {image!r}; name a file, a folder with images or a pattern")
        found |= dict.fromkeys(files)
    if not found:
        raise InputError("images: none are named; name files, folders with images or patterns")
    return list(found)


def _behind(name: str) -> Iterator[str]:
    """The files behind one name; a file of that name comes before a pattern, so `a[1].jpg` is found."""
    if os.path.isdir(name):
        yield from (os.path.join(name, file.relative_to(name)) for file in find_pictures(Path(name)))
    elif os.path.exists(name):
        yield name
    else:
        if not glob.has_magic(name):
            raise InputError(f"images: there is no {name!r}; name a file, a folder with images or a pattern")
        for match in sorted(glob.glob(name, recursive=True), key=natural_key):
            if os.path.isdir(match):
                yield from _behind(match)
            elif is_image_name(Path(match)):
                yield match


class Predictor:
    """An exported network, ready to classify.

    labels    names of its classes, in the order of its logits
    channels  1 if it sees grey, 3 if it sees colour
    """

    def __init__(self, folder: str | Path, device: torch.device | None = None) -> None:
        """Loads the export in `folder` onto `device`, by default the one found. Raises `InputError` if it is none."""
        self._device = device or pick_device()
        model, self.labels = _load(Path(folder))
        self._model = model.to(self._device).to(memory_format=torch.channels_last)
        config: dict[str, Any] = resolve_data_config({}, model=model)
        self.channels = config["input_size"][0]
        if self.channels not in (1, 3):
            raise InputError(
                f"dir: the network of {folder} takes images of {self.channels} channels, not grey or colour"
            )
        self._transform = create_transform(**config)

    def predict(
        self, files: Sequence[str], *, top: int = 5, batch_size: int = BATCH_SIZE, on_bad: OnBad | None = None
    ) -> Iterator[Prediction]:
        """Classifies files in their order; see `scaler.predict`."""
        if top < 1:
            raise InputError(f"top: {top} is too few; 1 or more")
        if batch_size < 1:
            raise InputError(f"batch_size: {batch_size} is too few; 1 or more")
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            reading: deque[Iterator[tuple[str, torch.Tensor | BadPictureError]]] = deque()
            for start in range(0, len(files), batch_size):
                reading.append(pool.map(self._read, files[start : start + batch_size]))
                if len(reading) == 2:  # while one batch is in the network, the next one is read
                    yield from self._classify(reading.popleft(), top, on_bad)
            for batch in reading:
                yield from self._classify(batch, top, on_bad)

    def _read(self, file: str) -> tuple[str, torch.Tensor | BadPictureError]:
        """The network's input for a file, float32 (channels, side, side), or why there is none."""
        try:
            picture = open_picture(Path(file), self.channels)
        except BadPictureError as bad:
            return file, bad
        return file, self._transform(trimmed(picture))

    def _classify(
        self, batch: Iterable[tuple[str, torch.Tensor | BadPictureError]], top: int, on_bad: OnBad | None
    ) -> Iterator[Prediction]:
        files: list[str] = []
        inputs: list[torch.Tensor] = []
        for file, pixels in batch:
            if isinstance(pixels, torch.Tensor):
                files.append(file)
                inputs.append(pixels)
            elif on_bad is None:
                raise InputError(
                    f"images: {file!r} cannot be read: {pixels}; mend it, or leave such files out (--skip-bad)"
                )
            else:
                on_bad(file, str(pixels))
        if not inputs:
            return
        with torch.inference_mode():
            stacked = torch.stack(inputs).to(self._device, memory_format=torch.channels_last)
            probabilities = self._model(stacked).float().softmax(dim=1).cpu()
        values, indices = probabilities.topk(min(top, len(self.labels)), dim=1)
        for file, row, classes in zip(files, values.tolist(), indices.tolist(), strict=True):
            ranked = tuple((self.labels[index], value) for index, value in zip(classes, row, strict=True))
            yield Prediction(file=file, label=ranked[0][0], probability=ranked[0][1], top=ranked)


def _load(folder: Path) -> tuple[nn.Module, tuple[str, ...]]:
    """The network of an export in evaluation mode, and the names of its classes."""
    config, tensors = read_export(folder)
    importlib.import_module("scaler.models")  # which registers the entry points of plugin exports
    try:
        model: nn.Module = timm.create_model(f"local-dir:{folder}", pretrained=False)
        labels = tuple(str(label) for label in config.get("label_names") or range(config["num_classes"]))
    except Exception as error:  # timm raises almost anything for a config that is not its own
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(f"dir: {folder} cannot be loaded ({reason}); export it again") from None
    put_weights(model, tensors, folder / WEIGHTS, "dir", "export it again")
    if len(labels) != model.num_classes:
        raise InputError(f"dir: {folder} names {len(labels)} classes, but its network has {model.num_classes}")
    return model.eval(), labels
