import json
from pathlib import Path

import pytest

from scaler import InputError, classic
from scaler.families.resnet import ResNet

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "classics.json").read_text())["classics"]
RESNETS = ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"]


@pytest.mark.parametrize("name", RESNETS)
def test_classics_cost_what_is_published(name: str) -> None:
    golden, cost = GOLDEN[name], classic(name).cost()
    assert classic(name).resolution == golden["resolution"]
    assert (cost.macs, cost.params) == (golden["macs"], golden["params"])
    assert round(cost.macs / 1e9, 3) == golden["published_gmacs"]
    if "activations" in golden:
        assert cost.activations == golden["activations"]


def test_cost_of_a_tiny_net_by_hand() -> None:
    net = ResNet(depths=(1, 1, 1, 1), widths=(4, 4, 8, 8, 8), resolution=32, num_classes=3, in_channels=1, stem="deep")
    stem = 9 * 1 * 2 * 16**2 + 9 * 2 * 2 * 16**2 + 9 * 2 * 4 * 16**2
    layer1 = 2 * 9 * 4 * 4 * 8**2
    layer2 = (9 * 4 * 8 + 9 * 8 * 8 + 4 * 8) * 4**2
    layer3 = (9 * 8 * 8 + 9 * 8 * 8 + 8 * 8) * 2**2
    layer4 = (9 * 8 * 8 + 9 * 8 * 8 + 8 * 8) * 1**2
    assert net.cost().macs == stem + layer1 + layer2 + layer3 + layer4 + 8 * 3
    outputs = (2 + 2 + 4) * 16**2 + 4 * 8**2 + 2 * 4 * 8**2 + 3 * 8 * (4**2 + 2**2 + 1) + 3
    assert net.cost().activations == outputs


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"block": "basik"}, "block"),
        ({"stem": "shallow"}, "stem"),
        ({"widths": (32, 64, 128, 256, 512)}, "widths"),
        ({"stem": "deep", "widths": (33, 64, 128, 256, 512)}, "widths"),
        ({"depths": (2, 2)}, "depths"),
        ({"resolution": 16}, "resolution"),
    ],
)
def test_impossible_networks_are_refused_by_field(changes: dict, field: str) -> None:
    with pytest.raises(InputError, match=f"^{field}: "):
        classic("resnet18").replace(**changes)
