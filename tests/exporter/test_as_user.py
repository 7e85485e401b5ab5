"""Exports of random networks of every family, loaded as their users load them, by the newest timm and the oldest."""

from importlib.metadata import version
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from scaler import Architecture
from tests.conftest import FULL
from tests.exporter.folders import OLDEST_PACKAGES, load_as_user, oldest_timm, tier, write_folder
from tests.families.strategies import STRATEGIES
from tests.models.examples import EXAMPLES

COUNT = 10 if FULL else 1
KINDS: dict[str, st.SearchStrategy[Architecture]] = {
    **{family: draw() for family, draw in STRATEGIES.items() if family != "resnet"},
    "resnet imagenet": STRATEGIES["resnet"]().filter(lambda network: network.stem != "cifar"),
    "resnet cifar": STRATEGIES["resnet"]().filter(lambda network: network.stem == "cifar"),
}


def drawn(networks: st.SearchStrategy[Architecture], count: int) -> list[Architecture]:
    """The same random networks each time."""
    found: list[Architecture] = []

    @given(networks)
    @settings(max_examples=count, phases=[Phase.generate], derandomize=True, database=None)
    def collect(network: Architecture) -> None:
        found.append(network)

    collect()
    assert len(found) == count
    return found


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Architecture]:
    """Random networks of each kind, in colour and in grey, a stock EfficientNet, a GoogLeNet of three classifiers."""
    root = tmp_path_factory.mktemp("exports")
    examples = ("efficientnet stock", "inception heads")
    networks = {name: EXAMPLES[name].replace(num_classes=7) for name in examples} | {
        f"{kind} {index}": network.replace(in_channels=1 if index % 2 else 3)
        for kind, strategy in KINDS.items()
        for index, network in enumerate(drawn(strategy, COUNT))
    }
    for name, network in networks.items():
        write_folder(root / name, network)
    return {root / name: network for name, network in networks.items()}


@pytest.mark.parametrize("age", ["newest", "oldest"])
@pytest.mark.parametrize("wanted", ["stock", "plugin"])
def test_a_fresh_process_gets_the_network(folders: dict[Path, Architecture], wanted: str, age: str) -> None:
    chosen = [folder for folder, network in folders.items() if tier(network) == wanted]
    assert {folder.name.rpartition(" ")[0] for folder in chosen} >= (
        {"efficientnet", "inception_v3", "resnet imagenet"}
        if wanted == "stock"
        else {"alexnet", "efficientnet", "inception", "resnet cifar", "vgg"}
    )
    found = load_as_user(chosen, tier=wanted, timm=None if age == "newest" else OLDEST_PACKAGES)
    assert found.timm == (version("timm") if age == "newest" else oldest_timm())
    assert found.scaler == (wanted == "plugin")
    assert list(found.folders) == list(map(str, chosen))
    right = {"difference": 0.0, "channels": True, "reductions": True, "maps": True, "kept": True, "first": True}
    for folder, about in found.folders.items():
        assert about == {**right, "tuned": [2, 5]}, folders[Path(folder)]
