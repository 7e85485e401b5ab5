"""Training: it learns, it repeats itself, it goes on where it was, and it shares a batch without changing it."""

import copy
import dataclasses
import itertools
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from scaler import Budget, fit_to_budget, load_space
from scaler.checkpoint import load_state, save_state
from scaler.data import Dataset
from scaler.distributed import ALONE
from scaler.evaluation import EvaluationError
from scaler.recipe import Recipe
from scaler.scoring import evaluate, evaluate_as_timm_user
from scaler.training import Epoch, Training, train
from scaler.training.parts import class_weights, optimizer
from tests.conftest import FULL
from tests.trainings import CPU, digits_data

ROOT = load_space("resnet").root(resolution=32, num_classes=10, in_channels=1)
SMALL = fit_to_budget(ROOT, "uniform", Budget(macs="400K"))
RECIPE = Recipe(epochs=3, batch_size=64, learning_rate=5e-3)
EVERYTHING = dataclasses.replace(
    RECIPE,
    optimizer="sgd",
    ema=0.9,
    mixup=0.2,
    cutmix=0.5,
    drop_path=0.2,
    clip_gradient=1.0,
    label_smoothing=0.1,
    class_balance="sampling",
    color_jitter=0.2,
    erasing=0.2,
    resized_crop=0.5,
)
FORGETFUL = SMALL.replace(dropout=0.2)

# Without norms and dropout, the gradient of a batch is the mean of its parts' gradients.
PLAIN = fit_to_budget(
    load_space("alexnet").root(resolution=32, num_classes=10, in_channels=1).replace(normalisation="none", dropout=0.0),
    "uniform",
    Budget(macs="400K"),
)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return digits_data()


def weights_of(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([value.double().flatten() for value in model.state_dict().values()])


def test_a_network_learns_and_says_how_each_epoch_was(digits: Dataset) -> None:
    accuracies: list[float] = []
    epochs: list[Epoch] = []
    model, result = train(
        SMALL,
        digits,
        dataclasses.replace(RECIPE, epochs=6),
        0,
        lambda epoch, accuracy: accuracies.append(accuracy) is None,
        watch=lambda epoch, model: epochs.append(epoch),
    )
    assert [epoch.epoch for epoch in epochs] == [1, 2, 3, 4, 5, 6]
    assert [epoch.scores.accuracy for epoch in epochs] == accuracies
    assert result.accuracy == accuracies[-1] > 0.6
    assert result.accuracy == evaluate(model, digits, digits.validation, SMALL.resolution).accuracy
    assert epochs[-1].loss < epochs[0].loss
    assert not result.stopped
    assert (result.device, result.precision) == ("cpu", "float32")
    assert result.images_per_second > 0


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd", "momentum", "lamb"])
def test_torchs_own_optimizers_take_the_fused_step_and_it_is_the_same_step(digits: Dataset, name: str) -> None:
    recipe = dataclasses.replace(RECIPE, optimizer=name, learning_rate=1e-2)
    stepped = []
    for fused in (True, False):
        torch.manual_seed(0)
        layer = torch.nn.Linear(8, 4)
        stepping = optimizer(layer, recipe)
        assert bool(stepping.defaults.get("fused")) == (name != "lamb")
        if not fused and name != "lamb":
            for group in stepping.param_groups:
                group["fused"] = False
        for _ in range(3):
            stepping.zero_grad()
            layer(torch.ones(2, 8)).square().sum().backward()
            stepping.step()
        stepped.append(layer.weight.detach().clone())
    torch.testing.assert_close(*stepped)
    torch.manual_seed(0)
    assert not torch.allclose(stepped[0], torch.nn.Linear(8, 4).weight, atol=1e-3)


def test_the_search_maximises_the_objective_it_is_given(digits: Dataset) -> None:
    values: list[float] = []
    _, result = train(SMALL, digits, RECIPE, 0, lambda epoch, value: values.append(value) is None, objective="macro_f1")
    assert result.value == result.macro_f1 == values[-1]
    assert len({result.accuracy, result.balanced_accuracy, result.macro_f1}) == 3


def test_the_learning_rate_rises_to_its_peak_and_falls_to_zero(digits: Dataset) -> None:
    rates: list[float] = []
    recipe = dataclasses.replace(RECIPE, epochs=4, warmup_epochs=2)
    train(SMALL, digits, recipe, 0, watch=lambda epoch, model: rates.append(epoch.learning_rate))
    assert rates[0] == pytest.approx(recipe.learning_rate / 2, rel=0.05)
    assert rates[1] == pytest.approx(recipe.learning_rate)
    assert rates[-1] == pytest.approx(0, abs=recipe.learning_rate / 1000)


@pytest.mark.parametrize("recipe", [RECIPE, EVERYTHING], ids=["plain", "everything"])
def test_the_same_seed_gives_the_same_weights(digits: Dataset, recipe: Recipe) -> None:
    (one, first), (two, second), (other, _) = (train(FORGETFUL, digits, recipe, seed) for seed in (1, 1, 2))
    assert first.accuracy == second.accuracy
    assert torch.equal(weights_of(one), weights_of(two))
    assert not torch.equal(weights_of(one), weights_of(other))


@pytest.mark.parametrize("recipe", [RECIPE, EVERYTHING], ids=["plain", "everything"])
def test_a_training_gone_on_with_ends_as_one_never_stopped(digits: Dataset, recipe: Recipe, tmp_path: Path) -> None:
    uninterrupted, whole = train(FORGETFUL, digits, recipe, 1)
    checkpoint = tmp_path / "training.safetensors"
    train(FORGETFUL, digits, recipe, 1, lambda epoch, accuracy: epoch < 2, checkpoint=checkpoint)
    reported: list[int] = []
    trained: list[int] = []
    model, result = train(
        FORGETFUL,
        digits,
        recipe,
        1,
        lambda epoch, accuracy: reported.append(epoch) is None,
        checkpoint=checkpoint,
        watch=lambda epoch, model: trained.append(epoch.epoch),
    )
    assert (reported, trained) == ([1, 2, 3], [3])
    assert result.accuracy == whole.accuracy
    assert torch.equal(weights_of(model), weights_of(uninterrupted))
    # A finished one is not trained any further.
    again, _ = train(FORGETFUL, digits, recipe, 1, checkpoint=checkpoint)
    assert torch.equal(weights_of(again), weights_of(uninterrupted))


@pytest.mark.parametrize("changed", [{"learning_rate": 4e-3}, {"seed": 2}])
def test_another_training_does_not_go_on_from_the_checkpoint(digits: Dataset, changed: dict, tmp_path: Path) -> None:
    checkpoint = tmp_path / "training.safetensors"
    train(SMALL, digits, RECIPE, 1, checkpoint=checkpoint)
    seed = changed.pop("seed", 1)
    trained: list[int] = []
    recipe = dataclasses.replace(RECIPE, **changed)
    train(SMALL, digits, recipe, seed, checkpoint=checkpoint, watch=lambda epoch, model: trained.append(epoch.epoch))
    assert trained == [1, 2, 3]


@pytest.mark.parametrize(
    "change",
    [
        {"model": {"conv1.weight": torch.zeros(2)}},
        {"optimizer": {"state": {}, "param_groups": []}},
        {"generator": torch.zeros(3, dtype=torch.uint8)},
        {"scores": {"accuracy": 1.0}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_checkpoint_that_does_not_fit_its_training_is_named_and_the_training_starts_anew(
    digits: Dataset, change: dict, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoint = tmp_path / "training.safetensors"
    expected, _ = train(SMALL, digits, RECIPE, 1, checkpoint=checkpoint)
    saved = load_state(checkpoint)
    assert saved is not None
    save_state(checkpoint, {**saved, "training": {**saved["training"], **change}})
    trained: list[int] = []
    model, _ = train(
        SMALL, digits, RECIPE, 1, checkpoint=checkpoint, watch=lambda epoch, model: trained.append(epoch.epoch)
    )
    assert caplog.messages[-1].startswith(f"checkpoint: {checkpoint} does not fit its training (")
    assert trained == list(range(1, RECIPE.epochs + 1))
    assert torch.equal(weights_of(model), weights_of(expected))


def test_a_killed_training_loses_at_most_an_epoch_each_time(digits: Dataset, tmp_path: Path) -> None:
    checkpoint, final, log = (tmp_path / name for name in ("training.safetensors", "final.safetensors", "log"))
    command = [sys.executable, "-m", "tests.trainings", str(checkpoint), str(final), str(log)]
    kills, epochs = (20, 25) if FULL else (2, 8)
    command.append(str(epochs))
    moments = random.Random()
    killed = 0
    while not final.exists():
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "training\n"
            if killed < kills:
                time.sleep(moments.uniform(0, 1))
                process.send_signal(signal.SIGKILL)
                killed += 1
        assert not checkpoint.exists() or load_state(checkpoint) is not None
    finished = [int(line) for line in log.read_text().split()]
    assert sorted(set(finished)) == list(range(1, epochs + 1))
    assert all(later >= earlier for earlier, later in itertools.pairwise(finished))
    assert len(finished) <= epochs + killed
    uninterrupted, _ = train(SMALL, digits, dataclasses.replace(RECIPE, epochs=epochs), 1)
    expected, found = uninterrupted.state_dict(), load_file(final)
    assert all(torch.equal(found[name], value) for name, value in expected.items())


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
    assert abs(as_user.accuracy - result.accuracy) <= 0.005


def gradient(training: Training) -> torch.Tensor:
    """The gradient of the last step."""
    return torch.cat([p.grad.flatten() for p in training.network.parameters() if p.grad is not None])


@pytest.mark.parametrize("changes", [{}, {"class_balance": "weights", "label_smoothing": 0.1}, {"mixup": 0.4}])
def test_a_batch_in_parts_has_the_gradient_of_the_whole(digits: Dataset, changes: dict) -> None:
    recipe = Recipe(epochs=1, batch_size=len(digits.train) // 2 * 2, **changes)
    trainings, epochs = [], []
    for micro_batch in (recipe.batch_size, 100):
        training = Training(PLAIN, digits, recipe, 0, CPU, ALONE)
        training._micro_batch = micro_batch
        epochs.append(training.epoch())
        trainings.append(training)
    assert epochs[0].loss == pytest.approx(epochs[1].loss, rel=1e-5)
    whole, parts = map(gradient, trainings)
    assert whole.abs().max() > 1e-3
    torch.testing.assert_close(whole, parts, rtol=1e-4, atol=1e-5)


SHORT_OF_MEMORY = """
import resource
import torch
from scaler import classic
from scaler.recipe import Recipe
from scaler.training import train
from tests.trainings import digits_data
torch.backends.mkldnn.enabled = False  # oneDNN may crash where torch's own allocator says that memory is short
data = digits_data()
network = classic("resnet20").replace(depths=(1, 1, 1), in_channels=1, resolution=32)
train(network, data, Recipe(epochs=1, batch_size=4), 0, lambda epoch, accuracy: False)  # code loaded, pools made
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 400 * 2**20, -1))
print(train(network, data, Recipe(epochs=1, batch_size=1024), 0)[1].micro_batch)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space as Linux does")
def test_a_batch_that_does_not_fit_is_trained_in_parts_and_recorded(digits: Dataset) -> None:
    done = subprocess.run([sys.executable, "-c", SHORT_OF_MEMORY], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) in (512, 256, 128, 64)


def test_weights_and_sampling_make_rare_classes_count_as_much_as_frequent_ones(digits: Dataset) -> None:
    counts = torch.bincount(digits.train.labels)
    assert torch.allclose(class_weights(digits) * counts, torch.full((10,), len(digits.train) / 10))
    rare = dataclasses.replace(digits, train=copy.copy(digits.train))
    rare.train.labels = torch.where(torch.arange(len(digits.train)) < 50, digits.train.labels, 0)
    recipe = Recipe(epochs=1, batch_size=64, class_balance="sampling")
    training = Training(SMALL, rare, recipe, 0, CPU, ALONE)
    drawn = torch.cat([labels for _ in range(5) for _, labels, _ in training._batches()])
    present = torch.bincount(rare.train.labels, minlength=10) > 0
    shares = torch.bincount(drawn, minlength=10)[present] / len(drawn)
    assert shares.max() / shares.min() < 1.5
    assert torch.bincount(rare.train.labels).max() > 0.9 * len(rare.train)


def test_the_averaged_network_is_the_one_that_counts(digits: Dataset) -> None:
    recipe = dataclasses.replace(RECIPE, epochs=1, ema=0.99)
    training = Training(SMALL, digits, recipe, 0, CPU, ALONE)
    epoch = training.epoch()
    assert training.network is not training._model
    assert not torch.equal(weights_of(training.network), weights_of(training._model))
    assert epoch.scores == evaluate(training.network, digits, digits.validation, SMALL.resolution)


def test_auxiliary_heads_are_trained(digits: Dataset) -> None:
    space = load_space("inception").root(resolution=32, num_classes=10, in_channels=1)
    network = fit_to_budget(space.replace(aux_heads=True), "uniform", Budget(macs="400K"))
    training = Training(network, digits, Recipe(epochs=1, batch_size=256), 0, CPU, ALONE)
    before = {name: value.clone() for name, value in training.network.state_dict().items()}
    training.epoch()
    after = training.network.state_dict()
    for head in ("aux1.fc2.weight", "aux2.fc2.weight", "fc.weight"):
        assert not torch.equal(before[head], after[head])


def test_half_precision_learns_too(digits: Dataset) -> None:
    _, result = train(SMALL, digits, dataclasses.replace(RECIPE, epochs=2, precision="bfloat16"), 0)
    assert result.precision == "bfloat16"
    assert result.accuracy > 0.3


@pytest.mark.parametrize("processes", [1, 2])
def test_processes_share_a_batch_without_changing_its_gradient(processes: int, tmp_path: Path) -> None:
    """Two gloo processes against one, on the same global batch."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(processes)]
    rendezvous = ["--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0", "--local-addr", "127.0.0.1"]
    found = tmp_path / "gradient.safetensors"
    command = [*launch, *rendezvous, "-m", "tests.trainings", "gradient", str(found)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    recipe = Recipe(epochs=1, batch_size=1024, learning_rate=5e-3, warmup_epochs=0)
    training = Training(PLAIN, digits_data(), recipe, 0, CPU, ALONE)
    epoch = training.epoch()
    shared = load_file(found)
    torch.testing.assert_close(shared["gradient"], gradient(training), rtol=0, atol=1e-5)
    assert gradient(training).abs().max() > 1e-3
    assert shared["loss"].item() == pytest.approx(epoch.loss, rel=0.05)


def test_a_training_that_cannot_be_saved_goes_on(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint.safetensors"
    program = [sys.executable, "-m", "tests.trainings", "limited", str(checkpoint), "50000"]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "2\n"
    assert f"the training cannot be saved in {tmp_path} (" in done.stderr
    assert not list(tmp_path.iterdir())  # no half of a file either
