"""Training of one network."""

from scaler.training.loop import Watch, never_stop, train
from scaler.training.training import Epoch, Training

__all__ = ["Epoch", "Training", "Watch", "never_stop", "train"]
