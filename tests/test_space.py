from pathlib import Path

import numpy as np
import pytest

from scaler import RULES, Budget, InputError, Shares, Space, Triangle, load_space
from scaler.shipped import shipped


@pytest.fixture(scope="module")
def triangle() -> Triangle:
    root = load_space("resnet").root(resolution=32, num_classes=10, in_channels=1)
    return Triangle(root, Budget(macs="3M"))


@pytest.mark.parametrize("file", sorted(shipped("search_spaces").glob("*.toml")), ids=lambda file: file.stem)
def test_every_shipped_space_cites_its_paper_and_has_networks(file: Path) -> None:
    assert "arXiv" in file.read_text()
    root = load_space(file.stem).root(resolution=32, num_classes=10, in_channels=1)
    found = Triangle(root, Budget(macs="12M")).enumerate()
    assert len(found) >= 50
    assert load_space(file).family == root.family


def test_every_point_of_the_triangle_is_on_budget(triangle: Triangle) -> None:
    shapes = triangle.fit(np.random.default_rng(0).random((2000, 2)))
    usage = triangle.budget.usage(triangle.base.costs(shapes))
    assert usage.max() <= 1
    assert np.mean(usage > 0.9) >= 0.99


def test_enumeration_finds_each_network_once_and_its_rule_makes_it(triangle: Triangle) -> None:
    found = triangle.enumerate()
    assert len({network.digest for _, network in found}) == len(found)
    for shares, network in found:
        assert triangle.at(shares) == network


def test_every_rule_grows_the_same_base(triangle: Triangle) -> None:
    assert triangle.base.cost().macs <= 3_000_000 / triangle.growth
    assert triangle.at(RULES["depth"]).widths == triangle.base.widths


def test_the_classic_shape_keeps_depths_and_resolution_and_shrinks_every_width(triangle: Triangle) -> None:
    shape = triangle.classic_shape()
    assert shape.depths == triangle.root.depths
    assert shape.resolution == triangle.root.resolution
    assert all(shrunk < full for shrunk, full in zip(shape.widths, triangle.root.widths, strict=True))
    assert triangle.budget.usage(shape.cost()) > 0.95


def test_a_budget_below_the_base_says_so() -> None:
    root = load_space("resnet").root(resolution=32, num_classes=10, in_channels=1)
    with pytest.raises(InputError, match=r"smallest it can make .* raise the budget"):
        Triangle(root, Budget(macs="50K"))


def test_wrong_spaces_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"space: 'resnt' is unknown \(did you mean 'resnet'\?\)"):
        load_space("resnt")
    with pytest.raises(InputError, match="resnet field: 'stm' is unknown"):
        Space(base="resnet18", knobs={"stm": "deep"})
    with pytest.raises(InputError, match="'resolution' is no knob"):
        Space(base="resnet18", knobs={"resolution": 32})
    with pytest.raises(InputError, match="classic: 'resnet19' is unknown"):
        Space(base="resnet19")
    file = tmp_path / "mine.toml"
    file.write_text('base = "resnet18"\nmode = "triangular"\n')
    with pytest.raises(InputError, match=r"space\.mode: 'triangular' is unknown"):
        load_space(file)
    file.write_text("base = [")
    with pytest.raises(InputError, match="not valid TOML"):
        load_space(file)


def test_a_lattice_holds_the_corners(triangle: Triangle) -> None:
    points = triangle.lattice(10)
    assert len(points) == 66
    for corner in np.eye(3):
        assert (points == corner).all(axis=1).any()
    assert all(Shares(*point) for point in points.tolist())
