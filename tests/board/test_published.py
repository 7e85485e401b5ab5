"""Published rows against torchvision's own metadata, its traps named."""

import pytest
from torchvision.models import get_model_weights

from scaler import classic, leaderboard
from scaler.board.published import DATA, NAMES, published_rows

AUXILIARY = 3_326_696  # parameters of Inception v3's auxiliary classifier, which torchvision counts
ROWS = published_rows()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['model']}-{row['recipe'].split()[1]}")
def test_every_row_is_what_torchvision_says(row: dict) -> None:
    name = NAMES.get(row["model"], row["model"])
    weights = get_model_weights(name)[row["recipe"].split()[1]]
    assert row["published_top1"] == pytest.approx(weights.meta["_metrics"][DATA]["acc@1"] / 100, abs=1e-9)
    assert row["resolution"] == weights.transforms().crop_size[0]
    assert row["macs"] / 1e9 == pytest.approx(weights.meta["_ops"], abs=6e-4)
    assert row["params"] + (AUXILIARY if name == "inception_v3" else 0) == weights.meta["num_params"]
    assert (row["source"], row["data"], "rank" in row, "accuracy" in row) == ("published", DATA, False, False)


def test_the_golden_figures() -> None:
    found = {(row["model"], row["recipe"]): (row["published_top1"], row["macs"], row["params"]) for row in ROWS}
    assert len(found) == 28
    # Both recipes of ResNet-50 are there; the network is the same.
    assert found["resnet50", "torchvision IMAGENET1K_V1"] == (0.7613, 4_089_184_256, 25_557_032)
    assert found["resnet50", "torchvision IMAGENET1K_V2"] == (0.80858, 4_089_184_256, 25_557_032)
    # Evaluated at 288 pixels, where the paper's B2 has 260 and 0.99 GMACs.
    b2 = classic("efficientnet_b2").replace(resolution=288).cost().macs
    assert found["efficientnet_b2", "torchvision IMAGENET1K_V1"] == (0.80608, b2, 9_109_994)
    assert found["inception_v3", "torchvision IMAGENET1K_V1"][2] == 27_161_264 - AUXILIARY
    # torchvision's AlexNet has one tower, its GoogLeNet batch norms.
    assert found["alexnet_one_tower", "torchvision IMAGENET1K_V1"] == (0.56522, 714_188_480, 61_100_840)
    assert found["googlenet_bn", "torchvision IMAGENET1K_V1"][0] == 0.69778
    # Features for SSD, which have no accuracy, are no row.
    assert [recipe for name, recipe in found if name == "vgg16"] == ["torchvision IMAGENET1K_V1"]


def test_published_rows_come_last_without_rank_and_only_when_asked_for() -> None:
    assert len(leaderboard([])) == 0
    table = leaderboard([], published=True)
    assert len(table) == len(ROWS)
    assert table["rank"].isna().all()
    assert table["pareto"].isna().all()
    assert table["accuracy"].isna().all()
