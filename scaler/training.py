"""Training of one architecture on whatever device there is."""

import math
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from timm.data import create_transform
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from torch import nn
from torch.nn import functional

from scaler.architecture import Architecture
from scaler.data import INTERPOLATION, Augmentation, Dataset, Split, normalize
from scaler.evaluation import EvaluationError, Report, Result
from scaler.models import build
from scaler.recipe import Recipe

_EVAL_BATCH = 256


def pick_device() -> torch.device:
    """The accelerator found on this machine, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def memory_format(model: nn.Module, device: torch.device) -> torch.memory_format:
    """Channels-last, which is the faster layout everywhere, unless the CPU's kernels are wrong for this network in it.

    oneDNN's backward pass of a strided 1×1 convolution in channels-last writes past its workspace when there are fewer
    input channels than its block of 8 (AVX2) or 16 (AVX-512): wrong gradients or an endless loop
    (github.com/uxlfoundation/oneDNN, issue 6035).
    """
    broken = any(
        isinstance(module, nn.Conv2d)
        and module.kernel_size == (1, 1)
        and max(module.stride) > 1
        and module.in_channels // module.groups < 16
        for module in model.modules()
    )
    return torch.contiguous_format if broken and device.type == "cpu" else torch.channels_last


def never_stop(epoch: int, accuracy: float) -> bool:
    """A `Report` that lets every epoch run."""
    return True


def train(
    architecture: Architecture,
    data: Dataset,
    recipe: Recipe,
    seed: int,
    report: Report = never_stop,
    *,
    device: torch.device | None = None,
) -> tuple[nn.Module, Result]:
    """Trains one network from scratch; returns it in eval mode beside the result.

    The same seed on the same machine with the same number of threads gives the same weights. Raises `EvaluationError`
    when the loss is no longer finite.
    """
    device = device or pick_device()
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    model = build(architecture)
    layout = memory_format(model, device)
    # torch documents the two arguments together, but its type stubs have no such overload.
    model = model.to(device, memory_format=layout)  # type: ignore[call-overload]
    augmentation = Augmentation(shift=recipe.shift, flip=data.flip)
    steps = max(1, len(data.train) // recipe.batch_size)
    optimizer = create_optimizer_v2(
        model, opt=recipe.optimizer, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, momentum=0.9
    )
    schedule, _ = create_scheduler_v2(
        optimizer,
        sched="cosine",
        num_epochs=recipe.epochs,
        warmup_epochs=recipe.warmup_epochs,
        warmup_prefix=True,
        step_on_epochs=False,
        updates_per_epoch=steps,
    )
    seconds, accuracy, epoch, update = 0.0, 0.0, 0, 0
    for epoch in range(1, recipe.epochs + 1):
        started = time.perf_counter()
        model.train()
        order = torch.randperm(len(data.train), generator=generator)[: steps * recipe.batch_size]
        losses = []
        for images, labels in data.train.batches(order, recipe.batch_size, architecture.resolution, device):
            draws = augmentation.draw(len(images), architecture.resolution, data.channels, generator)
            loss = functional.cross_entropy(
                model(normalize(augmentation.apply(images, draws), data, layout)),
                labels,
                label_smoothing=recipe.label_smoothing,
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            update += 1
            schedule.step_update(update)
            losses.append(loss.detach())
        mean_loss = torch.stack(losses).mean().item()
        seconds += time.perf_counter() - started
        if not math.isfinite(mean_loss):
            raise EvaluationError(f"loss not finite in epoch {epoch}")
        accuracy = evaluate(model, data, data.validation, architecture.resolution)
        if not report(epoch, accuracy) and epoch < recipe.epochs:
            break
    return model.eval(), Result(
        accuracy=accuracy,
        epochs=epoch,
        stopped=epoch < recipe.epochs,
        train_seconds=seconds,
        images_per_second=epoch * steps * recipe.batch_size / seconds,
        device=_device_name(device),
    )


def evaluate(model: nn.Module, data: Dataset, split: Split, side: int) -> float:
    """Accuracy on a split, images resized to `side` pixels."""
    device = next(model.parameters()).device
    batches = split.batches(None, _EVAL_BATCH, side, device)
    return _accuracy(model, (normalize(images, data) for images, _ in batches), split.labels)


def timm_batch(data: Dataset, split: Split, side: int) -> torch.Tensor:
    """A split's images as timm's own eval transform makes them from pictures: float32 (n, channels, side, side)."""
    transform = create_transform(
        input_size=(data.channels, side, side),
        interpolation=INTERPOLATION,
        mean=data.mean,
        std=data.std,
        crop_pct=1.0,
        crop_mode="center",
    )
    return torch.stack([transform(image) for image in split.pictures()])


def evaluate_as_timm_user(model: nn.Module, data: Dataset, split: Split, side: int) -> float:
    """Accuracy on a split as a user of the exported network measures it, through timm's own eval transform."""
    device = next(model.parameters()).device
    return _accuracy(model, timm_batch(data, split, side).to(device).split(_EVAL_BATCH), split.labels)


@torch.inference_mode()
def _accuracy(model: nn.Module, batches: Iterable[torch.Tensor], labels: torch.Tensor) -> float:
    model.eval()
    predicted = torch.cat([model(part).argmax(dim=1).cpu() for part in batches])
    return (predicted == labels).double().mean().item()


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


@dataclass(frozen=True, slots=True)
class TrainingEvaluator:
    """The evaluator that trains: weights land in a temporary file.

    threads  CPU threads, set for the whole process; None leaves torch's own number
    test     whether to measure the test split as well
    """

    data: Dataset
    recipe: Recipe
    threads: int | None = None
    test: bool = False

    def __call__(self, architecture: Architecture, seed: int, report: Report) -> Result:
        if self.threads is not None:
            torch.set_num_threads(self.threads)
        model, result = train(architecture, self.data, self.recipe, seed, report)
        if not result.stopped:
            result = replace(result, weights=save_weights(model))
        if self.test:
            accuracy = evaluate_as_timm_user(model, self.data, self.data.test, architecture.resolution)
            result = replace(result, test_accuracy=accuracy, test_images=len(self.data.test))
        return result


def save_weights(model: nn.Module) -> Path:
    """The model's state dict in a new temporary safetensors file."""
    state = {name: tensor.cpu().contiguous() for name, tensor in model.state_dict().items()}
    with tempfile.NamedTemporaryFile(prefix="scaler-", suffix=".safetensors", delete=False) as file:
        path = Path(file.name)
    save_file(state, path, metadata={"format": "pt"})
    return path
