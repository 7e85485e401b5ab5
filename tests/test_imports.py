"""The rooms of the house: who may import whom, and what must stay light."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import scaler

PACKAGE = Path(scaler.__file__).parent
HEAVY = ("torch", "torchvision", "timm", "optuna", "ray", "pandas", "sklearn", "huggingface_hub")

ROOMS = [
    "errors",
    "paths",
    "lazy",
    "toml",
    "shipped",
    "cache_folder",
    "cores",
    "cost",
    "memory",
    "tracing",
    "rounding",
    "architecture",
    "families",
    "entries",
    "budget",
    "scaling",
    "network_file",
    "region",
    "space",
    # -- above this line nothing imports torch, timm, optuna or ray
    "models",
    "data",
    "hardware",
    "recipe",
    "config",
    "evaluation",
    "distributed",
    "weights",
    "export_folder",
    "initial",
    "checkpoint",
    "scoring",
    "training",
    "evaluator",
    "record",
    "pruners",
    "storage",
    "study",
    "trials",
    "leases",
    "samplers",
    "status",
    "executors",
    "submission",
    "workflow",
    "final",
    "laws",
    "board",
    "fitted",
    "report",
    "exporter",
    "prediction",
    "cli",
]
LIGHT = ROOMS[: ROOMS.index("models")]
FILES = sorted(file for file in PACKAGE.rglob("*.py") if file.parent != PACKAGE or not file.name.startswith("__"))


def imported(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute"
            module = node.module or ""
            names |= {f"scaler.{alias.name}" for alias in node.names} if module == "scaler" else {module}
    return names


def room(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_point_upward(file: Path) -> None:
    here = ROOMS.index(room(file))
    for name in imported(file):
        parts = name.split(".")
        if parts[0] == "scaler" and parts[1] in ROOMS and parts[1] != room(file):
            assert ROOMS.index(parts[1]) < here, f"{room(file)} imports {parts[1]}, which is below it"


@pytest.mark.parametrize("file", [file for file in FILES if room(file) in LIGHT], ids=lambda file: file.name)
def test_arithmetic_imports_nothing_heavy(file: Path) -> None:
    assert not {name.partition(".")[0] for name in imported(file)} & set(HEAVY)


@pytest.mark.parametrize(
    "code",
    [
        "import scaler",
        "import scaler; scaler.classic('resnet50').cost(); scaler.load_space('resnet')",
        "from scaler.cli import main; main(['--help'])",
        "from scaler.cli import main; main(['describe', 'resnet50', '--layers'])",
        "from scaler.cli import main; main(['classics', '--json'])",
        "from scaler.cli import main; main(['families'])",
    ],
)
def test_light_commands_load_nothing_heavy(code: str) -> None:
    script = f"import atexit, json, sys\natexit.register(lambda: print(json.dumps(list(sys.modules))))\n{code}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}
    assert not loaded & set(HEAVY)


def test_the_leaderboard_needs_no_torch() -> None:
    script = """
import sys
import scaler.board
from scaler import load_study
load_study("quickstart")
print("optuna" in sys.modules, {"torch", "timm", "ray"} & {*sys.modules})
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "True set()\n"


def test_no_module_shadows_a_public_function() -> None:
    modules = {file.stem for file in PACKAGE.glob("*.py")} | {folder.name for folder in PACKAGE.iterdir()}
    assert not modules & set(scaler.__all__)


def test_every_public_name_is_there_and_no_other() -> None:
    for name in scaler.__all__:
        assert getattr(scaler, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'serch'"):
        _ = scaler.serch
