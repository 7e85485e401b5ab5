"""How fast training images come, against torchvision: pictures read from files, and augmentation alone.

The pictures are made for the occasion. scaler decodes them once, into a memory map; that time is printed by itself. The
other side is torchvision's `ImageFolder` and transforms of PIL images in torch's `DataLoader`, with 0 or 2 worker
processes, whichever is faster. Both sides shuffle, augment and normalise in the same way."""

import os
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from scaler.data import Augmentation, DataConfig, Dataset, load_data, normalize
from tests.bench.cost import seconds

_COUNT, _CLASSES, _SIDE, _BATCH, _PAD = 2000, 10, 64, 64, 6
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

CROP_AND_FLIP = "crop + flip"
FULL = "resized crop + flip + colour jitter"
OURS = {
    CROP_AND_FLIP: Augmentation(shift=_PAD / _SIDE, flip=True),
    FULL: Augmentation(resized_crop=0.35, flip=True, color_jitter=0.4),
}


def theirs(recipe: str, side: int, library: ModuleType) -> list[Callable[[object], object]]:
    """The recipe in one of torchvision's two libraries, which take PIL images and tensors alike."""
    if recipe == CROP_AND_FLIP:
        return [library.RandomCrop(side, padding=round(side * _PAD / _SIDE)), library.RandomHorizontalFlip()]
    return [
        library.RandomResizedCrop(side, scale=(0.35, 1)),
        library.RandomHorizontalFlip(),
        library.ColorJitter(brightness=0.4, contrast=0.4, saturation=0.4),
    ]


def kornias(recipe: str, side: int) -> torch.nn.Module | None:
    """The recipe in kornia, if that is installed: for float batches, drawn per sample."""
    try:
        from kornia import augmentation as kornia
    except ImportError:
        return None
    flip = kornia.RandomHorizontalFlip()
    if recipe == CROP_AND_FLIP:
        return torch.nn.Sequential(kornia.RandomCrop((side, side), padding=round(side * _PAD / _SIDE)), flip)
    crop = kornia.RandomResizedCrop((side, side), scale=(0.35, 1), align_corners=False)
    return torch.nn.Sequential(crop, flip, kornia.ColorJitter(0.4, 0.4, 0.4, 0.0, p=1.0))


def write_pictures(folder: Path) -> None:
    """JPEG files in a folder a class: smooth noise, which compresses about as photographs do."""
    random = np.random.default_rng(0)
    for number in range(_COUNT):
        place = folder / f"class{number % _CLASSES}"
        place.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(random.integers(0, 256, (16, 16, 3), dtype=np.uint8))
        coarse.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC).save(place / f"{number}.jpg", quality=90)


def our_epoch(data: Dataset, augmentation: Augmentation) -> None:
    """Every training image once, as the network is to read it."""
    generator = torch.Generator().manual_seed(0)
    order = torch.randperm(len(data.train), generator=generator)
    for images, _ in data.train.batches(order, _BATCH, _SIDE, torch.device("cpu")):
        augmented(images, data, augmentation, generator)


def augmented(
    images: torch.Tensor, data: Dataset, augmentation: Augmentation, generator: torch.Generator
) -> torch.Tensor:
    """A batch by scaler."""
    draws = augmentation.draw(len(images), images.shape[-1], data.channels, generator)
    return normalize(augmentation.apply(images, draws), data)


def one_by_one(images: torch.Tensor, transform: Callable[[object], object]) -> torch.Tensor:
    """A batch by torchvision's transforms, which draw once a call."""
    floats = v2.functional.to_dtype(torch.stack([transform(image) for image in images]), torch.float32, scale=True)
    return v2.functional.normalize(floats, [*_MEAN], [*_STD], inplace=True)


def by_kornia(images: torch.Tensor, transform: torch.nn.Module) -> torch.Tensor:
    """A batch by kornia, which draws per sample."""
    return v2.functional.normalize(transform(images.float() / 255), [*_MEAN], [*_STD], inplace=True)


def their_epoch(loader: Iterable[object]) -> None:
    """Every image once."""
    for _ in loader:
        pass


def their_rate(folder: Path, recipe: str, workers: int) -> float:
    """Images a second out of torch's `DataLoader`, once its workers run.

    For PIL images torchvision's first library of transforms is the faster one, by about a tenth.
    """
    transform = transforms.Compose(
        [*theirs(recipe, _SIDE, transforms), transforms.ToTensor(), transforms.Normalize(_MEAN, _STD)]
    )
    loader: Iterable[object] = DataLoader(
        ImageFolder(str(folder), transform),
        batch_size=_BATCH,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    their_epoch(loader)
    return _COUNT / seconds(partial(their_epoch, loader), 3)


def files_to_batches(threads: int) -> Dataset:
    """Prints images a second from files, and the ratio; returns the data."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "pictures"
        write_pictures(folder)
        started = time.perf_counter()
        data = load_data(DataConfig(name=f"folder:{folder}", cache=f"{name}/cache"), _SIDE)
        decoding = time.perf_counter() - started
        print(f"\n{_COUNT:,} JPEG files of {_SIDE} × {_SIDE} pixels (decoded once, in {decoding:.1f} s), images/s")
        for recipe, augmentation in OURS.items():
            best = max(their_rate(folder, recipe, workers) for workers in (0, 2))
            print(f"  {recipe:36} ImageFolder + DataLoader {best:9,.0f}")
            for count in sorted({1, threads}):
                torch.set_num_threads(count)
                our_epoch(data, augmentation)
                rate = len(data.train) / seconds(partial(our_epoch, data, augmentation), 5)
                print(f"  {recipe:36} scaler, {count:2} thread(s)     {rate:9,.0f}   {rate / best:6.1f} ×")
        return data


def augmentation_alone(data: Dataset, side: int) -> None:
    """Prints images a second from a uint8 batch to a normalised one, in one thread."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (_BATCH, 3, side, side), dtype=torch.uint8, generator=generator)
    print(f"\naugmentation and normalisation of {_BATCH} images of 3 × {side} × {side}, one thread, in images/s")
    for recipe, augmentation in OURS.items():
        ways: dict[str, Callable[[], object]] = {
            "scaler": partial(augmented, images, data, augmentation, generator),
            "torchvision v2, image by image": partial(one_by_one, images, transforms.Compose(theirs(recipe, side, v2))),
        }
        if (batched := kornias(recipe, side)) is not None:
            ways["kornia"] = partial(by_kornia, images, batched)
        rates = {way: _BATCH / seconds(call, 7) for way, call in ways.items()}
        for way, rate in rates.items():
            print(f"  {recipe:36} {way:32} {rate:9,.0f}   scaler is {rates['scaler'] / rate:5.1f} × as fast")


def main(threads: int = os.cpu_count() or 1) -> None:
    """Prints images a second, ours and theirs, measured side by side."""
    before = torch.get_num_threads()
    data = files_to_batches(threads)
    for side in (64, 224):
        augmentation_alone(data, side)
    torch.set_num_threads(before)


if __name__ == "__main__":
    main()
