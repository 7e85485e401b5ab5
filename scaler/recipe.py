"""How a network is trained."""

from dataclasses import dataclass

from scaler.errors import InputError, unknown

OPTIMIZERS = ("sgd", "adamw")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The training of every network of a study: same recipe, comparable results.

    epochs           passes over the training split
    batch_size       images a step
    optimizer        sgd (Nesterov momentum 0.9) or adamw
    learning_rate    at its peak; a cosine takes it to zero
    warmup_epochs    epochs of linear rise before the peak
    weight_decay     of weights, not of biases and norms
    label_smoothing  share of the target spread over all classes
    shift            random shift of the training images, up to this share of their side
    """

    epochs: int = 10
    batch_size: int = 64
    optimizer: str = "adamw"
    learning_rate: float = 3e-3
    warmup_epochs: int = 1
    weight_decay: float = 0.05
    label_smoothing: float = 0.0
    shift: float = 0.1

    def __post_init__(self) -> None:
        if self.optimizer not in OPTIMIZERS:
            raise unknown("recipe.optimizer", self.optimizer, OPTIMIZERS)
        for field, low, high in (
            ("epochs", 1, 100_000),
            ("batch_size", 1, 1_000_000),
            ("learning_rate", 1e-9, 1e3),
            ("warmup_epochs", 0, self.epochs),
            ("weight_decay", 0, 10),
            ("label_smoothing", 0, 0.99),
            ("shift", 0, 0.5),
        ):
            if not low <= getattr(self, field) <= high:
                raise InputError(f"recipe.{field}: {getattr(self, field)} is out of range; give {low:g} to {high:g}")
