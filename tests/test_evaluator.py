from pathlib import Path

import pytest
from safetensors.torch import load_file

from scaler.checkpoint import load_state
from scaler.data import Dataset
from scaler.evaluation import EvaluationError
from scaler.evaluator import TrainingEvaluator
from scaler.recipe import Recipe
from scaler.training import never_stop
from tests.test_training import SMALL
from tests.trainings import digits_data

SHORT = Recipe(epochs=2, batch_size=128)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return digits_data()


def test_the_test_split_is_measured_only_when_asked(digits: Dataset) -> None:
    plain = TrainingEvaluator(data=digits, recipe=SHORT)(SMALL, 0, never_stop)
    tested = TrainingEvaluator(data=digits, recipe=SHORT, test=True)(SMALL, 0, never_stop)
    assert plain.test_accuracy is None
    assert tested.test_images == len(digits.test)
    assert 0 <= (tested.test_accuracy or -1) <= 1
    for result in (plain, tested):
        assert result.weights is not None
        assert load_file(result.weights)
        result.weights.unlink()


def test_an_interrupted_evaluation_goes_on_where_it_was(digits: Dataset, tmp_path: Path) -> None:
    evaluator = TrainingEvaluator(data=digits, recipe=SHORT, checkpoints=tmp_path / "checkpoints")

    class InterruptionError(Exception):
        pass

    def interrupt(epoch: int, accuracy: float) -> bool:
        raise InterruptionError

    with pytest.raises(InterruptionError):
        evaluator(SMALL, 0, interrupt)
    (saved,) = (tmp_path / "checkpoints").iterdir()
    state = load_state(saved)
    assert state is not None
    assert state["training"]["epochs"] == 1
    result = evaluator(SMALL, 0, never_stop)
    whole = TrainingEvaluator(data=digits, recipe=SHORT)(SMALL, 0, never_stop)
    assert (result.epochs, result.accuracy) == (2, whole.accuracy)
    assert result.checkpoint == saved
    for file in (result.weights, whole.weights):
        assert file is not None
        file.unlink()


def test_a_failed_evaluation_leaves_no_checkpoint(digits: Dataset, tmp_path: Path) -> None:
    exploding = Recipe(epochs=9, batch_size=64, optimizer="sgd", learning_rate=1e3, warmup_epochs=0, weight_decay=10)
    with pytest.raises(EvaluationError, match="loss not finite"):
        TrainingEvaluator(data=digits, recipe=exploding, checkpoints=tmp_path)(SMALL, 0, never_stop)
    assert list(tmp_path.iterdir()) == []
