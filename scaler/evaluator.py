"""The evaluator that trains."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from scaler.architecture import Architecture
from scaler.data import Dataset
from scaler.evaluation import EvaluationError, Report, Result
from scaler.recipe import Recipe
from scaler.scoring import evaluate_as_timm_user
from scaler.training import train
from scaler.weights import save_weights


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingEvaluator:
    """Trains a network and measures it on the validation split; the weights land in a temporary file.

    objective    what the search maximises
    threads      CPU threads, set for the whole process; None leaves torch's own number
    test         whether to measure the test split as well
    checkpoints  folder where trainings under way are saved after each epoch, to be gone on with when the same network
                 is evaluated again; None for no saving
    """

    data: Dataset
    recipe: Recipe
    objective: str = "accuracy"
    threads: int | None = None
    test: bool = False
    checkpoints: Path | None = None

    def __call__(self, architecture: Architecture, seed: int, report: Report) -> Result:
        if self.threads is not None:
            torch.set_num_threads(self.threads)
        checkpoint = self._checkpoint(architecture, seed)
        try:
            model, result = train(
                architecture, self.data, self.recipe, seed, report, objective=self.objective, checkpoint=checkpoint
            )
        except EvaluationError:
            if checkpoint is not None:
                checkpoint.unlink(missing_ok=True)
            raise
        result = replace(result, checkpoint=checkpoint)
        if not result.stopped:
            result = replace(result, weights=save_weights(model))
        if self.test:
            scores = evaluate_as_timm_user(model, self.data, self.data.test, architecture.resolution)
            result = replace(result, test_accuracy=scores.accuracy, test_images=len(self.data.test))
        return result

    def _checkpoint(self, architecture: Architecture, seed: int) -> Path | None:
        if self.checkpoints is None:
            return None
        self.checkpoints.mkdir(parents=True, exist_ok=True)
        return self.checkpoints / f"{architecture.digest}-{seed}.safetensors"
