"""The storage of studies: Optuna's relational one, opened in one place, claimed by one driver at a time."""

from scaler.storage.opening import open_storage
from scaler.storage.place import network_file_system
from scaler.storage.storage import Storage
from scaler.storage.url import redacted

__all__ = ["Storage", "network_file_system", "open_storage", "redacted"]
