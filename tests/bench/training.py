"""How fast a whole training is: against nothing but forward, backward and step, and against a plain training script.

Both use the network that the published compound rule makes within the quickstart study's budget, on scikit-learn's
digits, with that study's recipe. The bare loop has one batch in memory and no data to wait for. The plain script is
what one writes with torchvision alone: the digits as PNG files, `ImageFolder`, PIL transforms, a `DataLoader` with as
many worker processes as there are cores or none, whichever is faster, tensors in torch's default layout (NCHW). Both
sides take the same steps with the same schedule, augmentation and threads; scaler's optimizer is the fused form of
torch's AdamW, the script's the plain one, and the bare loop is run with each."""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from scaler.architecture import Architecture
from scaler.config import load_study
from scaler.cores import available_cores
from scaler.data import DataConfig, Dataset, Split, load_data
from scaler.distributed import ALONE
from scaler.hardware import memory_format, pick_device
from scaler.models import build
from scaler.recipe import Recipe
from scaler.scaling import RULES
from scaler.training.parts import optimizer, schedule
from scaler.training.training import Training
from scaler.workflow import study_data

_ROUNDS = 9
_EPOCHS = 6

MakeOptimizer: TypeAlias = Callable[[nn.Module, Recipe], torch.optim.Optimizer]


def write_pictures(split: Split, classes: Iterable[str], folder: Path) -> None:
    """A split as PNG files in a folder a class."""
    names = list(classes)
    for number, (picture, label) in enumerate(zip(split.pictures(), split.labels.tolist(), strict=True)):
        place = folder / names[label]
        place.mkdir(parents=True, exist_ok=True)
        picture.save(place / f"{number}.png")


def plain_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimizer as torch makes it where nothing is asked for."""
    assert recipe.optimizer == "adamw"
    return torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)


def bare_rate(
    network: Architecture, batch: tuple[torch.Tensor, torch.Tensor], recipe: Recipe, steps: int, make: MakeOptimizer
) -> float:
    """Images a second of forward, backward and step over and over on one batch."""
    model = build(network).train()
    layout = memory_format(model, pick_device())
    model = model.to(pick_device(), memory_format=layout)
    images, labels = batch[0].to(memory_format=layout), batch[1]
    stepping = make(model, recipe)
    started = time.perf_counter()
    for _ in range(steps):
        stepping.zero_grad()
        functional.cross_entropy(model(images), labels).backward()
        stepping.step()
    return steps * len(labels) / (time.perf_counter() - started)


def against_the_bare_loop(network: Architecture, data: Dataset, recipe: Recipe) -> None:
    """Prints training images a second, and the ratio, measured in turns."""
    training = Training(network, data, recipe, 0, pick_device(), ALONE)
    training.epoch()
    side = network.resolution
    images = torch.randn(recipe.batch_size, data.channels, side, side)
    batch = images.to(pick_device()), data.train.labels[: recipe.batch_size].to(pick_device())
    steps = len(data.train) // recipe.batch_size
    print(f"\ntraining images/s, {network.summary()}, batches of {recipe.batch_size}; the bare loop is on one batch")
    ways: dict[str, MakeOptimizer] = {"scaler's optimizer": optimizer, "torch's plain AdamW": plain_optimizer}
    bare_rate(network, batch, recipe, steps, optimizer)
    rounds = [
        (training.epoch().images_per_second, *(bare_rate(network, batch, recipe, steps, way) for way in ways.values()))
        for _ in range(_ROUNDS)
    ]
    print(f"  scaler, augmentation and all               {statistics.median(row[0] for row in rounds):8,.0f}")
    for column, way in enumerate(ways, start=1):
        rate = statistics.median(row[column] for row in rounds)
        ratio = statistics.median(row[0] / row[column] for row in rounds)
        print(f"  forward, backward, {way:24}{rate:8,.0f}   scaler reaches {ratio:.2f} of it")


def plain_transform(side: int, data: Dataset, padding: int | None = None) -> transforms.Compose:
    """From a PIL image to what the network reads; with a padding, cropped at random."""
    crop = [] if padding is None else [transforms.RandomCrop(side, padding=padding)]
    resize = transforms.Resize(side, transforms.InterpolationMode.BICUBIC)
    normalize = transforms.Normalize(data.mean, data.std)
    return transforms.Compose([transforms.Grayscale(), resize, *crop, transforms.ToTensor(), normalize])


def plain_loader(folder: Path, side: int, data: Dataset, recipe: Recipe, workers: int) -> DataLoader:
    """Training batches as torchvision makes them."""
    return DataLoader(
        ImageFolder(str(folder), plain_transform(side, data, round(recipe.shift * side))),
        batch_size=recipe.batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )


def plain_epochs(network: Architecture, loader: DataLoader, recipe: Recipe) -> Iterator[tuple[nn.Module, float]]:
    """The network after each epoch of a plain training, and the seconds that the epoch took."""
    model = build(network).to(pick_device())
    stepping = plain_optimizer(model, recipe)
    falling = schedule(stepping, recipe, len(loader))
    update = 0
    for _ in range(recipe.epochs):
        model.train()
        started = time.perf_counter()
        for images, labels in loader:
            stepping.zero_grad()
            loss = functional.cross_entropy(model(images.to(pick_device())), labels.to(pick_device()))
            loss.backward()
            stepping.step()
            update += 1
            falling.step_update(update)
        yield model, time.perf_counter() - started


@torch.inference_mode()
def plain_accuracy(model: nn.Module, folder: Path, side: int, data: Dataset) -> float:
    """Accuracy of a plain training on the validation split, read as its training images are."""
    model.eval()
    right = count = 0
    for images, labels in DataLoader(ImageFolder(str(folder), plain_transform(side, data)), batch_size=256):
        right += int((model(images.to(pick_device())).argmax(1).cpu() == labels).sum())
        count += len(labels)
    return right / count


def against_a_plain_script(network: Architecture, data: Dataset, recipe: Recipe) -> None:
    """Prints seconds an epoch and validation accuracy of both, and the ratio of the seconds."""
    side = network.resolution
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part, split in (("train", data.train), ("val", data.validation), ("test", data.test)):
            write_pictures(split, data.classes, folder / part)
        found = load_data(DataConfig(name=f"folder:{folder}", cache=f"{name}/cache"), side)
        rows: list[tuple[str, float, float]] = []
        training = Training(network, found, recipe, 0, pick_device(), ALONE)
        epochs = [training.epoch() for _ in range(recipe.epochs)]
        rows.append(("scaler", statistics.median(e.seconds for e in epochs), epochs[-1].scores.accuracy))
        for workers in (0, available_cores()):
            torch.manual_seed(0)
            loader = plain_loader(folder / "train", side, found, recipe, workers)
            trained = list(plain_epochs(network, loader, recipe))
            accuracy = plain_accuracy(trained[-1][0], folder / "val", side, found)
            rows.append((f"plain script, {workers} workers", statistics.median(s for _, s in trained), accuracy))
    print(f"\none training, {network.summary()}, {recipe.epochs} epochs of {len(data.train):,} PNG files")
    for label, seconds, accuracy in rows:
        print(f"  {label:28} {seconds:6.2f} s an epoch, validation accuracy {accuracy:.4f}")
    best = min(seconds for _, seconds, _ in rows[1:])
    print(f"  scaler is {best / rows[0][1]:.2f} × as fast as the better plain script")


def main() -> None:
    """Prints both comparisons, with as many threads as there are cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(available_cores())
    config = load_study("quickstart", {"recipe.epochs": _EPOCHS})
    triangle, data = study_data(config)
    network = triangle.at(RULES["compound"])
    against_the_bare_loop(network, data, config.recipe)
    against_a_plain_script(network, data, config.recipe)
    torch.set_num_threads(before)


if __name__ == "__main__":
    main()
