"""Where scaler keeps on this machine what it can always make again."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """`scaler` in $XDG_CACHE_HOME or ~/.cache; not created."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(home) if os.path.isabs(home) else Path.home() / ".cache") / "scaler"
