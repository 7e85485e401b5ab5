"""Inception v3's arithmetic: published figures, and that nothing scales it."""

import pytest

from scaler.budget import Budget
from scaler.errors import InputError
from scaler.families import CLASSICS
from scaler.scaling import fit_to_budget

NET = CLASSICS["inception_v3"]


def test_published_figures() -> None:
    # timm's model has 23,834,568 parameters; torchvision's meta data say 5.713 G MACs.
    cost = NET.cost()
    assert (cost.macs, cost.params, cost.activations) == (5_713_216_096, 23_834_568, 11_679_528)


def test_published_sides() -> None:
    sides = {layer.name.split(".")[0]: (layer.channels, layer.side) for layer in NET.layers()}
    assert [sides[name] for name in ("Pool1", "Pool2")] == [(64, 73), (192, 35)]
    assert [sides[f"Mixed_{name}"][1] for name in ("5d", "6a", "6e", "7a", "7c")] == [35, 17, 17, 8, 8]


def test_nothing_scales_it() -> None:
    for scale in (lambda: NET.scaled(width=1.5), lambda: fit_to_budget(NET, "width", Budget(macs="1G"))):
        with pytest.raises(InputError, match="fixed classic"):
            scale()


@pytest.mark.parametrize("changes", [{"depths": (3, 5, 4)}, {"widths": (192, 288, 768, 1024)}, {"resolution": 74}])
def test_other_shapes_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(InputError, match=next(iter(changes))):
        NET.replace(**changes)
