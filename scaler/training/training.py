"""The state of one network's training, from epoch to epoch."""

import dataclasses
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from timm.layers import convert_sync_batchnorm
from timm.utils import ModelEmaV3
from torch import nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from scaler.architecture import Architecture
from scaler.data import Dataset, Draws, normalize
from scaler.distributed import Group
from scaler.evaluation import EvaluationError, Result
from scaler.hardware import autocast, device_name, memory_format, memory_in_use, pick_precision, prepare
from scaler.models import build
from scaler.recipe import Recipe
from scaler.scoring import Scores, evaluate
from scaler.training.parts import augmentation, class_weights, mixup, optimizer, schedule
from scaler.training.randomness import generator_states, restore_generators, seed_generators
from scaler.weights import Tensors

_AUXILIARY_WEIGHT = 0.3  # of each auxiliary head's loss, as GoogLeNet's authors weigh it
_CHECK_EVERY = 100  # steps between looks at the loss, each of which waits for the device


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """What one epoch of a training was like.

    loss           mean over the training images
    learning_rate  at the end
    scores         on the validation split
    seconds        of training, validation excluded
    memory         the most that the device has held so far, bytes
    """

    epoch: int
    epochs: int
    loss: float
    learning_rate: float
    scores: Scores
    seconds: float
    images_per_second: float
    memory: int


class Training:
    """One network on its way through a recipe, epoch by epoch."""

    def __init__(
        self,
        architecture: Architecture,
        data: Dataset,
        recipe: Recipe,
        seed: int,
        device: torch.device,
        group: Group,
        initial: Tensors = MappingProxyType({}),
    ) -> None:
        """Begins with a fresh network in which `initial` tensors take the place of those of the same names."""
        prepare(device)
        seed_generators(seed)
        self.device = device
        self.epochs_done = 0
        self._data, self._recipe, self._group, self._side = data, recipe, group, architecture.resolution
        self._generator = torch.Generator().manual_seed(seed)
        self._augmentation = augmentation(recipe, data)
        self._mixup = mixup(recipe, len(data.classes))
        self._dtype = pick_precision(recipe.precision, device)
        self._weights = class_weights(data).to(device) if recipe.class_balance == "weights" else None
        self._sampled = class_weights(data)[data.train.labels] if recipe.class_balance == "sampling" else None

        options = {"drop_path_rate": recipe.drop_path} if recipe.drop_path else {}
        model: Any = build(architecture, **options)  # Any: torch's stubs know no `to` of device and layout together
        model.load_state_dict(dict(initial), strict=False)
        self._layout = memory_format(model, device)
        self._model: nn.Module = model.to(device, memory_format=self._layout)
        if group.size > 1 and device.type == "cuda":
            self._model = convert_sync_batchnorm(self._model)
        self._ema = ModelEmaV3(self._model, decay=recipe.ema, use_warmup=True) if recipe.ema else None

        # Steps of the whole group; what is left of the images at the end of an epoch is another part each time.
        images = len(data.train)
        self._batch = min(recipe.batch_size, images - images % (2 * group.size)) // group.size * group.size
        if self._batch == 0:
            raise EvaluationError(f"{images} training images are too few for {group.size} processes")
        self._steps = images // self._batch
        self._micro_batch = self._batch // group.size
        self._optimizer = optimizer(self._model, recipe)
        self._schedule = schedule(self._optimizer, recipe, self._steps)
        self._grad_scaler = torch.amp.GradScaler(device.type, enabled=self._dtype == torch.float16)
        self._forward = self._wrapped()
        if not group.leads:
            seed_generators(seed + group.rank)  # for dropout of their own; the weights are the leader's
        self._seconds = 0.0
        self._scores: Scores | None = None

    @property
    def network(self) -> nn.Module:
        """The network as it is to be used: the averaged one, where the recipe averages."""
        network: nn.Module = self._ema.module if self._ema else self._model
        return network

    def epoch(self) -> Epoch:
        """Trains for one epoch, then validates."""
        started = time.perf_counter()
        number = self.epochs_done + 1
        self._model.train()
        losses: list[torch.Tensor] = []
        for step, (images, labels, draws) in enumerate(self._batches()):
            update = self.epochs_done * self._steps + step + 1
            losses.append(self._step(images, labels, draws, update))
            if step % _CHECK_EVERY == 0 and not math.isfinite(losses[-1].item()):
                raise EvaluationError(f"loss not finite in epoch {number}")
        loss = torch.stack(losses).mean().item()
        if not math.isfinite(loss):
            raise EvaluationError(f"loss not finite in epoch {number}")
        seconds = time.perf_counter() - started
        self._seconds += seconds
        self.epochs_done = number
        self._scores = self._validated()
        return Epoch(
            epoch=number,
            epochs=self._recipe.epochs,
            loss=loss,
            learning_rate=self._optimizer.param_groups[0]["lr"],
            scores=self._scores,
            seconds=seconds,
            images_per_second=self._steps * self._batch / seconds,
            memory=memory_in_use(self.device),
        )

    def result(self, objective: str, stopped: bool) -> Result:
        """What a report of the training says."""
        assert self._scores is not None, "a training has at least one epoch"
        return Result(
            objective=objective,
            **dataclasses.asdict(self._scores),
            epochs=self.epochs_done,
            stopped=stopped,
            train_seconds=self._seconds,
            images_per_second=self.epochs_done * self._steps * self._batch / self._seconds,
            device=device_name(self.device),
            precision=str(self._dtype).removeprefix("torch."),
            micro_batch=self._micro_batch if self._micro_batch * self._group.size < self._batch else None,
        )

    def state(self) -> dict[str, Any]:
        """All that the rest of the training depends on."""
        return {
            "model": dict(self._model.state_dict()),
            "ema": dict(self._ema.module.state_dict()) if self._ema else None,
            "optimizer": self._optimizer.state_dict(),
            "grad_scaler": self._grad_scaler.state_dict(),
            "epochs": self.epochs_done,
            "seconds": self._seconds,
            "micro_batch": self._micro_batch,
            "scores": dataclasses.asdict(self._scores) if self._scores else None,
            "generator": self._generator.get_state(),
            "generators": generator_states(self.device),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Goes back to a `state` of this same training."""
        self._model.load_state_dict(state["model"])
        if self._ema:
            self._ema.module.load_state_dict(state["ema"])
        self._optimizer.load_state_dict(state["optimizer"])
        for parameter, moments in self._optimizer.state.items():
            for name, moment in moments.items():
                if isinstance(moment, torch.Tensor) and moment.shape == parameter.shape:
                    # In the parameter's memory layout, as it was, so that sums are taken in the same order.
                    moments[name] = torch.empty_like(parameter, dtype=moment.dtype).copy_(moment)
        self._grad_scaler.load_state_dict(state["grad_scaler"])
        self.epochs_done = state["epochs"]
        self._seconds = state["seconds"]
        self._micro_batch = state["micro_batch"]
        self._scores = Scores(**state["scores"])
        self._generator.set_state(state["generator"])
        if self._group.leads:  # the others' dropout is their own
            restore_generators(state["generators"], self.device)

    def _batches(self) -> Iterator[tuple[torch.Tensor, torch.Tensor, Draws]]:
        """This process's part of every global batch of an epoch: images, labels, and what augments them."""
        count, share = self._steps * self._batch, self._batch // self._group.size
        if self._sampled is not None:
            order = torch.multinomial(self._sampled, count, replacement=True, generator=self._generator)
        else:
            order = torch.randperm(len(self._data.train), generator=self._generator)[:count]
        mine = order.view(self._steps, self._group.size, share)[:, self._group.rank].flatten()
        first = self._group.rank * share
        for images, labels in self._data.train.batches(mine, share, self._side, self.device):
            # Drawn for the global batch, so that a network does not depend on how many processes train it.
            draws = self._augmentation.draw(self._batch, self._side, self._data.channels, self._generator)
            yield images, labels, draws[first : first + share]

    def _step(self, images: torch.Tensor, labels: torch.Tensor, draws: Draws, update: int) -> torch.Tensor:
        """One update of the weights; returns the loss."""
        augmented = normalize(self._augmentation.apply(images, draws), self._data, self._layout)
        targets = labels
        if self._mixup:
            augmented, targets = self._mixup(augmented, labels)
        while True:
            self._optimizer.zero_grad()
            try:
                loss = self._gradients(augmented, targets)
                break
            except (RuntimeError, MemoryError) as error:
                if not _is_out_of_memory(error):
                    raise
                if self._micro_batch == 1:
                    raise EvaluationError(f"not even one image fits in memory: {error}") from error
            self._micro_batch = -(-self._micro_batch // 2)
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
        if self._recipe.clip_gradient:
            self._grad_scaler.unscale_(self._optimizer)
            nn.utils.clip_grad_norm_(self._model.parameters(), self._recipe.clip_gradient)
        self._grad_scaler.step(self._optimizer)
        self._grad_scaler.update()
        self._schedule.step_update(update)
        if self._ema:
            self._ema.update(self._model, step=update)
        return loss

    def _gradients(self, images: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Gradients of the batch's mean loss, gathered over micro-batches that fit in memory; returns the loss."""
        normaliser = _normaliser(targets, self._weights)
        total = torch.zeros((), device=self.device)
        parts = list(zip(images.split(self._micro_batch), targets.split(self._micro_batch), strict=True))
        for number, (image_part, target_part) in enumerate(parts, start=1):
            if isinstance(self._forward, DistributedDataParallel):
                self._forward.require_backward_grad_sync = number == len(parts)
            with autocast(self.device, self._dtype):
                logits, *auxiliary = self._forward(image_part)
            loss = self._loss(logits, target_part)
            for head in auxiliary:
                loss = loss + _AUXILIARY_WEIGHT * self._loss(head, target_part)
            loss = loss / normaliser
            self._grad_scaler.scale(loss).backward()
            total += loss.detach()
        return total

    def _loss(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        smoothing = 0.0 if self._mixup else self._recipe.label_smoothing  # timm's Mixup smooths what it mixes
        return functional.cross_entropy(
            logits.float(), targets, self._weights, label_smoothing=smoothing, reduction="sum"
        )

    def _validated(self) -> Scores:
        """The leader's scores of the network on the validation split, in every process."""
        scores = Scores(0.0, 0.0, 0.0)
        if self._group.leads:
            scores = evaluate(self.network, self._data, self._data.validation, self._side)
        return Scores(*self._group.from_leader(dataclasses.astuple(scores)))

    def _wrapped(self) -> nn.Module:
        """The network as the forward pass calls it: a list of logits, compiled and shared as the recipe has it."""
        module: nn.Module = _AllHeads(self._model)
        if self._recipe.compile:
            torch.compiler.reset()  # else the shapes of every earlier network stay compiled
            module.compile(dynamic=False)
        if self._group.size > 1:
            devices = [self.device] if self.device.type == "cuda" else None
            module = DistributedDataParallel(module, device_ids=devices)
        return module


class _AllHeads(nn.Module):
    """A network's logits, and those of its auxiliary heads."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        forward_with_aux = getattr(self.model, "forward_with_aux", None)
        if forward_with_aux is None:
            return [self.model(images)]
        logits, auxiliary = forward_with_aux(images)
        return [logits, *auxiliary]


def _normaliser(targets: torch.Tensor, class_weights: torch.Tensor | None) -> torch.Tensor | int:
    """What a sum of losses is divided by to become a mean."""
    if class_weights is None:
        return len(targets)
    return class_weights[targets].sum() if targets.ndim == 1 else (targets * class_weights).sum()


def _is_out_of_memory(error: Exception) -> bool:
    known = ("out of memory", "can't allocate memory", "bad_alloc", "could not create a primitive")  # the last: oneDNN
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or any(text in str(error) for text in known)
