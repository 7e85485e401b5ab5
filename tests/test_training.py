import subprocess
import sys

import pytest
import torch

from scaler import Budget, InputError, classic, fit_to_budget, load_space
from scaler.data import DataConfig, Dataset, load_data
from scaler.evaluation import EvaluationError
from scaler.models import build
from scaler.recipe import Recipe
from scaler.training import TrainingEvaluator, evaluate, evaluate_as_timm_user, memory_format, never_stop, train

ROOT = load_space("resnet").root(resolution=32, num_classes=10, in_channels=1)
SMALL = fit_to_budget(ROOT, "uniform", Budget(macs="400K"))
RECIPE = Recipe(epochs=3, batch_size=64, learning_rate=5e-3)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_data(DataConfig(name="digits"), 64)


def test_a_network_learns(digits: Dataset) -> None:
    accuracies: list[float] = []
    model, result = train(SMALL, digits, RECIPE, 0, lambda epoch, accuracy: accuracies.append(accuracy) is None)
    assert len(accuracies) == result.epochs == 3
    assert result.accuracy == accuracies[-1] > 0.6
    assert result.accuracy == evaluate(model, digits, digits.validation, SMALL.resolution)
    assert not result.stopped
    assert result.images_per_second > 0


def test_the_same_seed_gives_the_same_weights(digits: Dataset) -> None:
    (one, first), (two, second), (other, _) = (train(SMALL, digits, RECIPE, seed) for seed in (1, 1, 2))
    assert first.accuracy == second.accuracy
    weights = [torch.cat([p.flatten() for p in model.parameters()]) for model in (one, two, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_a_report_stops_the_training(digits: Dataset) -> None:
    _, result = train(SMALL, digits, RECIPE, 0, lambda epoch, accuracy: epoch < 2)
    assert result.stopped
    assert result.epochs == 2


def test_a_loss_that_is_not_finite_is_a_failure_with_its_epoch(digits: Dataset) -> None:
    exploding = Recipe(epochs=3, batch_size=64, optimizer="sgd", learning_rate=1e3, warmup_epochs=0, weight_decay=10)
    with pytest.raises(EvaluationError, match=r"loss not finite in epoch \d"):
        train(SMALL, digits, exploding, 0)


def test_the_fast_path_and_timms_transform_agree_on_accuracy(digits: Dataset) -> None:
    model, result = train(SMALL, digits, RECIPE, 0)
    as_user = evaluate_as_timm_user(model, digits, digits.validation, SMALL.resolution)
    assert abs(as_user - result.accuracy) <= 0.005


def test_the_evaluator_measures_test_accuracy_only_when_asked(digits: Dataset) -> None:
    short = Recipe(epochs=1, batch_size=128)
    plain = TrainingEvaluator(digits, short)(SMALL, 0, never_stop)
    tested = TrainingEvaluator(digits, short, test=True)(SMALL, 0, never_stop)
    assert plain.test_accuracy is None
    assert tested.test_images == len(digits.test)
    assert 0 <= (tested.test_accuracy or -1) <= 1
    for result in (plain, tested):
        assert result.weights is not None
        result.weights.unlink()


def test_a_network_whose_channels_last_kernels_are_broken_trains_in_the_other_layout() -> None:
    cpu = torch.device("cpu")
    narrow = ROOT.replace(depths=(1, 1, 1, 1), widths=(4, 4, 8, 16, 36), resolution=64)
    assert memory_format(build(narrow), cpu) == torch.contiguous_format
    assert memory_format(build(narrow), torch.device("cuda")) == torch.channels_last
    assert memory_format(build(classic("resnet18").replace(num_classes=10)), cpu) == torch.channels_last
    script = """
from scaler import load_space
from scaler.data import DataConfig, load_data
from scaler.recipe import Recipe
from scaler.training import train
root = load_space("resnet").root(resolution=64, num_classes=10, in_channels=1)
narrow = root.replace(depths=(1, 1, 1, 1), widths=(4, 4, 8, 16, 36))
print(train(narrow, load_data(DataConfig(name="digits"), 64), Recipe(epochs=2, batch_size=32), 0)[1].accuracy)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    assert float(done.stdout) > 0.3


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"epochs": 0}, "epochs"),
        ({"optimizer": "adam"}, "optimizer"),
        ({"learning_rate": -1.0}, "learning_rate"),
        ({"epochs": 2, "warmup_epochs": 3}, "warmup_epochs"),
        ({"shift": 0.6}, "shift"),
    ],
)
def test_wrong_recipes_are_refused_by_field(changes: dict, field: str) -> None:
    with pytest.raises(InputError, match=rf"^recipe\.{field}: "):
        Recipe(**changes)
