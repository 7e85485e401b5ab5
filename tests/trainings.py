"""Trainings that tests run in processes of their own.

python -m tests.trainings CHECKPOINT FINAL LOG EPOCHS    a training that may be killed and started again
python -m tests.trainings limited CHECKPOINT BYTES       a training that may write no larger files
torchrun -m tests.trainings gradient FILE                the gradient of one batch, shared by the processes
"""

import dataclasses
import resource
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from scaler.data import DataConfig, Dataset, load_data
from scaler.distributed import joined
from scaler.recipe import Recipe
from scaler.training import Epoch, Training, train

CPU = torch.device("cpu")


def digits_data() -> Dataset:
    """scikit-learn's digits at up to 32 pixels."""
    return load_data(DataConfig(name="digits"), side=32)


def train_with_checkpoint(checkpoint: str, final: str, log: str, epochs: str) -> None:
    """Trains, notes each epoch that has ended, and writes the final weights."""
    from tests.test_training import RECIPE, SMALL

    torch.set_num_threads(1)
    data = digits_data()
    print("training", flush=True)

    def note(epoch: Epoch, model: torch.nn.Module) -> None:
        with open(log, "a") as file:
            file.write(f"{epoch.epoch}\n")

    recipe = dataclasses.replace(RECIPE, epochs=int(epochs))
    model, _ = train(SMALL, data, recipe, 1, checkpoint=Path(checkpoint), watch=note)
    save_file(model.state_dict(), final)


def train_with_little_room(checkpoint: str, size: str) -> None:
    """Trains for two epochs where no file may be larger than `size` bytes; prints how many epochs ran."""
    from tests.test_training import RECIPE, SMALL

    torch.set_num_threads(1)
    data = digits_data()
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(size), resource.RLIM_INFINITY))
    _, result = train(SMALL, data, dataclasses.replace(RECIPE, epochs=2), 1, checkpoint=Path(checkpoint))
    print(result.epochs)


def write_gradient(path: str) -> None:
    """Takes one step with the whole group and writes the gradient that it took."""
    from tests.test_training import PLAIN, gradient

    torch.set_num_threads(1)
    recipe = Recipe(epochs=1, batch_size=1024, learning_rate=5e-3, warmup_epochs=0)
    with joined() as group:
        training = Training(PLAIN, digits_data(), recipe, 0, CPU, group)
        epoch = training.epoch()
        if group.leads:
            save_file({"gradient": gradient(training), "loss": torch.tensor(epoch.loss)}, path)


if __name__ == "__main__":
    if sys.argv[1] == "gradient":
        write_gradient(sys.argv[2])
    elif sys.argv[1] == "limited":
        train_with_little_room(*sys.argv[2:])
    else:
        train_with_checkpoint(*sys.argv[1:])
