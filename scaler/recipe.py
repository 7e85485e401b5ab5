"""How a network is trained."""

from dataclasses import dataclass

from scaler.errors import InputError, unknown

SCHEDULES = ("cosine", "poly", "multistep", "constant")
_USUAL_OPTIMIZERS = ("sgd", "adam", "adamw", "lamb", "muon", "nadamw", "rmsprop")  # to know the others takes timm
PRECISIONS = ("auto", "float32", "bfloat16", "float16")
BALANCES = ("none", "weights", "sampling")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The training of every network of a study: same recipe, comparable results.

    epochs           passes over the training split
    batch_size       images a step, over all devices together
    optimizer        one of timm's, e.g. sgd (Nesterov momentum), adamw, lamb, muon
    learning_rate    at its peak
    momentum         of optimizers that have one
    weight_decay     of weights, not of biases and norms
    schedule         how the learning rate falls: cosine, poly (a line) to zero, multistep (to a tenth at 1/2 and again
                     at 3/4 of the epochs), constant
    warmup_epochs    epochs of linear rise before the peak, part of `epochs`
    clip_gradient    largest norm of the gradient; 0 leaves it as it is
    ema              decay of an exponential moving average of the weights, which then is the network; 0 for none
    label_smoothing  share of the target spread over all classes
    drop_path        stochastic depth: probability of leaving out the last block, falling linearly to the first; of
                     families with residual blocks
    class_balance    against imbalance: none, weights (of the loss, inverse to a class's share) or sampling (every class
                     as often)
    shift            random shift of the training images, up to this share of their side
    resized_crop     smallest share of the image that a random crop shows; 0 for no crop
    flip             whether images are mirrored at random; by default as suits the data set
    color_jitter     strength of random changes of brightness, contrast and saturation
    erasing          probability that a rectangle of the image is erased
    mixup, cutmix    alphas of timm's Mixup and CutMix; 0 for none
    precision        of the forward pass: auto (what the device is fast in), float32, bfloat16 or float16
    compile          whether to compile each network with torch.compile, which pays for long trainings on a GPU alone
    """

    epochs: int = 10
    batch_size: int = 64
    optimizer: str = "adamw"
    learning_rate: float = 3e-3
    momentum: float = 0.9
    weight_decay: float = 0.05
    schedule: str = "cosine"
    warmup_epochs: int = 1
    clip_gradient: float = 0.0
    ema: float = 0.0
    label_smoothing: float = 0.0
    drop_path: float = 0.0
    class_balance: str = "none"
    shift: float = 0.1
    resized_crop: float = 0.0
    flip: bool | None = None
    color_jitter: float = 0.0
    erasing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    precision: str = "auto"
    compile: bool = False

    def __post_init__(self) -> None:
        for field, known in (
            ("schedule", SCHEDULES),
            ("class_balance", BALANCES),
            ("precision", PRECISIONS),
        ):
            if getattr(self, field) not in known:
                raise unknown(f"recipe.{field}", getattr(self, field), known)
        if self.optimizer not in _USUAL_OPTIMIZERS and self.optimizer not in optimizers():
            raise unknown("recipe.optimizer", self.optimizer, optimizers())
        for field, low, high in (
            ("epochs", 1, 100_000),
            ("batch_size", 1, 1_000_000),
            ("learning_rate", 1e-9, 1e3),
            ("momentum", 0, 0.9999),
            ("weight_decay", 0, 10),
            ("warmup_epochs", 0, self.epochs),
            ("clip_gradient", 0, 1e6),
            ("ema", 0, 0.999999),
            ("label_smoothing", 0, 0.99),
            ("drop_path", 0, 0.99),
            ("shift", 0, 0.5),
            ("resized_crop", 0, 1),
            ("color_jitter", 0, 1),
            ("erasing", 0, 1),
            ("mixup", 0, 100),
            ("cutmix", 0, 100),
        ):
            if not low <= getattr(self, field) <= high:
                raise InputError(f"recipe.{field}: {getattr(self, field)} is out of range; give {low:g} to {high:g}")
        if (self.mixup or self.cutmix) and self.batch_size % 2:
            raise InputError(
                f"recipe.batch_size: {self.batch_size} is odd, and mixup and cutmix mix pairs; give an even number"
            )


def optimizers() -> list[str]:
    """timm's names of optimizers, without those that need another package or second derivatives."""
    from timm.optim import list_optimizers

    return [str(name) for name in list_optimizers(exclude_filters=["bnb*", "fused*", "adahessian"])]
