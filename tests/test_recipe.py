import pytest

from scaler import InputError
from scaler.recipe import _USUAL_OPTIMIZERS, Recipe, optimizers


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"epochs": 0}, "epochs"),
        ({"optimizer": "adamv"}, "optimizer"),
        ({"schedule": "cosin"}, "schedule"),
        ({"class_balance": "weight"}, "class_balance"),
        ({"precision": "fp16"}, "precision"),
        ({"drop_path": 1.0}, "drop_path"),
        ({"ema": 1.0}, "ema"),
        ({"clip_gradient": -1.0}, "clip_gradient"),
        ({"mixup": 0.2, "batch_size": 63}, "batch_size"),
        ({"resized_crop": 1.5}, "resized_crop"),
        ({"learning_rate": -1.0}, "learning_rate"),
        ({"epochs": 2, "warmup_epochs": 3}, "warmup_epochs"),
        ({"shift": 0.6}, "shift"),
    ],
)
def test_wrong_recipes_are_refused_by_field(changes: dict, field: str) -> None:
    with pytest.raises(InputError, match=rf"^recipe\.{field}: "):
        Recipe(**changes)


def test_timms_optimizers_are_offered_by_their_names() -> None:
    assert {"sgd", "adamw", "lamb", "muon", *_USUAL_OPTIMIZERS} <= set(optimizers())
