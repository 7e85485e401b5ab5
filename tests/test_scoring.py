import warnings

import pytest
import torch

from scaler.scoring import Scores


def test_scores_are_those_of_the_definition() -> None:
    labels = torch.tensor([0, 0, 0, 0, 0, 0, 1, 1, 2, 2])
    predicted = torch.tensor([0, 0, 0, 0, 0, 0, 0, 1, 0, 0])
    scores = Scores.of(predicted, labels)
    assert scores.accuracy == pytest.approx(0.7)
    assert scores.balanced_accuracy == pytest.approx((1 + 0.5 + 0) / 3)
    assert scores.macro_f1 == pytest.approx((2 * 6 / (2 * 6 + 3) + 2 / (2 + 1) + 0) / 3)


def test_a_predicted_class_that_the_split_lacks_is_simply_wrong() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = Scores.of(torch.tensor([0, 7, 1, 7]), torch.tensor([0, 0, 1, 1]))
    assert (scores.accuracy, scores.balanced_accuracy) == (0.5, 0.5)
