"""Where trainings begin: weights of exports and of timm's, as far as they fit."""

import json
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from scaler import Architecture, InputError, build, classic
from scaler.data import DataConfig, load_data
from scaler.distributed import ALONE
from scaler.families.resnet import ResNet
from scaler.initial import read_initial
from scaler.recipe import Recipe
from scaler.training import Training, train
from tests.malice import flipped, malicious_pickles
from tests.models.examples import EXAMPLES

# The shape of timm's test_resnet, but for its third stage, which has a bottleneck there, and its input channels.
LIKE_TIMMS = ResNet(
    depths=(1, 1, 1, 1), widths=(32, 32, 48, 48, 96), resolution=32, stem="deep", num_classes=10, in_channels=1
)


def write_export(folder: Path, network: Architecture) -> dict[str, torch.Tensor]:
    """A folder as exports are, with fresh weights, which it returns."""
    torch.manual_seed(0)
    state = build(network).state_dict()
    folder.mkdir()
    save_file(state, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"architecture": network.family, "scaler": {}}))
    return state


def write_hub_cache(hub: Path, name: str) -> dict[str, torch.Tensor]:
    """timm's network of that name, with fresh weights, as the Hugging Face hub's own cache has it; returns them."""
    torch.manual_seed(1)
    state = timm.create_model(name).state_dict()
    repository = hub / f"models--timm--{name}"
    for folder in ("refs", "blobs", f"snapshots/{'a' * 40}"):
        (repository / folder).mkdir(parents=True)
    (repository / "refs" / "main").write_text("a" * 40)
    save_file(state, repository / "blobs" / "weights")
    (repository / "snapshots" / ("a" * 40) / "model.safetensors").symlink_to("../../blobs/weights")
    return state


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub, and no connection to it: HF_HUB_CACHE and HF_HUB_OFFLINE, set after the import."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


@pytest.mark.parametrize("name", ["alexnet halves", "vgg three pools", "resnet A", "inception heads", "inception_v3"])
def test_a_network_takes_all_of_its_like(tmp_path: Path, name: str) -> None:
    network = EXAMPLES[name]
    state = write_export(tmp_path / "export", network)
    initial = read_initial(str(tmp_path / "export"), network)
    counted = {key for key, value in state.items() if value.ndim}
    assert initial.tensors.keys() == counted
    assert all(torch.equal(initial.tensors[key], state[key]) for key in counted)
    assert (len(initial.tensors), initial.values) == (initial.of, initial.of_values)
    assert initial.of_values == sum(state[key].numel() for key in counted)


def test_other_classes_leave_the_classifier_fresh(tmp_path: Path) -> None:
    network = EXAMPLES["efficientnet plain"]
    write_export(tmp_path / "export", network)
    initial = read_initial(str(tmp_path / "export"), network.replace(num_classes=7))
    wanted = {key for key, value in build(network).state_dict().items() if value.ndim}
    assert wanted - initial.tensors.keys() == {"classifier.weight", "classifier.bias"}
    assert str(initial) == (
        f"{len(wanted) - 2} of {len(wanted)} tensors ({initial.values:,} of {initial.values + 8 * 7 + 7:,} numbers)"
        f" taken from {tmp_path / 'export'}, the rest fresh"
    )


def test_grey_weights_see_a_grey_picture_in_colour_as_before(tmp_path: Path) -> None:
    network = EXAMPLES["resnet A"].replace(dropout=0.0)
    state = write_export(tmp_path / "export", network)
    initial = read_initial(str(tmp_path / "export"), network.replace(in_channels=3))
    assert initial.tensors["conv1.weight"].shape == (64, 3, 7, 7)
    models = build(network).eval(), build(network.replace(in_channels=3)).eval()
    models[0].load_state_dict(state)
    models[1].load_state_dict(dict(initial.tensors), strict=False)
    grey = torch.randn(2, 1, 18, 18)
    torch.testing.assert_close(models[0](grey), models[1](grey.expand(-1, 3, -1, -1)))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_colour_weights_are_adapted_as_timm_adapts_them(tmp_path: Path, channels: int) -> None:
    colour = classic("resnet18").replace(widths=(64, 8, 8, 8, 8), num_classes=5)
    write_export(tmp_path / "export", colour)
    (tmp_path / "export" / "config.json").write_text(
        json.dumps(
            {
                "architecture": "resnet18",
                "num_classes": 5,
                "model_args": {"layers": [2, 2, 2, 2], "channels": [8, 8, 8, 8]},
                "pretrained_cfg": {"input_size": [3, 224, 224], "first_conv": "conv1", "classifier": "fc"},
            }
        )
    )
    theirs = timm.create_model(f"local-dir:{tmp_path / 'export'}", pretrained=True, in_chans=channels).state_dict()
    initial = read_initial(str(tmp_path / "export"), colour.replace(in_channels=channels))
    assert torch.equal(initial.tensors["conv1.weight"], theirs["conv1.weight"])


def test_timms_weights_come_from_the_hubs_cache_as_far_as_they_fit(hub: Path) -> None:
    theirs = write_hub_cache(hub, "test_resnet.r160_in1k")
    for name in ("timm:test_resnet", "timm:test_resnet.r160_in1k"):
        initial = read_initial(name, LIKE_TIMMS)
        adapted = initial.tensors["conv1.0.weight"]
        torch.testing.assert_close(adapted, theirs["conv1.0.weight"].sum(dim=1, keepdim=True))
        assert all(torch.equal(value, theirs[key]) for key, value in initial.tensors.items() if key != "conv1.0.weight")
        assert {"layer1.0.conv1.weight", "layer2.0.bn2.running_var"} <= initial.tensors.keys()
        assert not {"fc.weight", "layer3.0.conv1.weight", "bn1.num_batches_tracked"} & initial.tensors.keys()
        assert 20 < len(initial.tensors) < initial.of


def test_a_training_begins_with_them(hub: Path, tmp_path: Path) -> None:
    write_hub_cache(hub, "test_resnet.r160_in1k")
    initial = read_initial("timm:test_resnet", LIKE_TIMMS)
    data = load_data(DataConfig(name="digits", cache=tmp_path / "cache"), side=32)
    recipe, cpu = Recipe(epochs=1, ema=0.9), torch.device("cpu")
    training = Training(LIKE_TIMMS, data, recipe, 0, cpu, ALONE, initial.tensors)
    fresh = Training(LIKE_TIMMS, data, recipe, 0, cpu, ALONE)
    for state in (training.network.state_dict(), training.state()["model"]):
        assert all(torch.equal(state[name], value) for name, value in initial.tensors.items())
        for name, value in fresh.network.state_dict().items():
            assert name in initial.tensors or torch.equal(state[name], value)


def test_a_training_does_not_go_on_from_one_that_began_elsewhere(tmp_path: Path) -> None:
    small = LIKE_TIMMS.replace(widths=(8, 8, 8, 8, 8), resolution=18)
    write_export(tmp_path / "export", small)
    data = load_data(DataConfig(name="digits", cache=tmp_path / "cache"), side=18)
    trained: list[int] = []
    for initial in (None, read_initial(str(tmp_path / "export"), small), None):
        train(
            small,
            data,
            Recipe(epochs=1),
            0,
            checkpoint=tmp_path / "checkpoint",
            watch=lambda epoch, model: trained.append(epoch.epoch),
            initial=initial,
        )
    assert trained == [1, 1, 1]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("timm:resnte18", r"init: timm has no 'resnte18' \(did you mean 'resnet18'\?\)"),
        ("timm:resnet18.a9_in1k", r"init: 'resnet18.a9_in1k' has a tag that timm does not know; .* a1_in1k, a2_in1k"),
        ("timm:scaler_vgg", "init: timm has no pretrained weights of 'scaler_vgg' as safetensors"),
        ("timm:resnet18.a1_in1k", "init: timm/resnet18.a1_in1k is neither in .*hub nor can it be fetched"),
        ("timm:", "init: timm has no ''"),
        ("nowhere", "init: there is no folder nowhere"),
    ],
)
@pytest.mark.usefixtures("hub")
def test_weights_that_are_not_there_are_named(source: str, message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}"):
        read_initial(source, LIKE_TIMMS)


def test_weights_that_fit_nowhere_are_refused(tmp_path: Path) -> None:
    write_export(tmp_path / "export", EXAMPLES["vgg global"])
    with pytest.raises(InputError, match=r"^init: no tensor of .*export has the name and the shape of one of this"):
        read_initial(str(tmp_path / "export"), LIKE_TIMMS)
    # A counter of batches and the classifier's bias fit everywhere, and are nothing to begin with.
    write_export(tmp_path / "other", LIKE_TIMMS.replace(widths=(36, 36, 52, 52, 100)))
    with pytest.raises(InputError, match=r"^init: no tensor of .*other has the name and the shape of one of this"):
        read_initial(str(tmp_path / "other"), LIKE_TIMMS)


def test_damaged_and_planted_weights_in_the_hubs_cache_are_refused(hub: Path, tmp_path: Path) -> None:
    write_hub_cache(hub, "test_resnet.r160_in1k")
    blob = next(hub.rglob("blobs")) / "weights"
    whole = blob.read_bytes()
    for content in (whole[:-1], flipped(whole, 3), *malicious_pickles(tmp_path / "executed").values()):
        blob.write_bytes(content)
        with pytest.raises(InputError, match=r"^init: .*model.safetensors is no whole safetensors file"):
            read_initial("timm:test_resnet", LIKE_TIMMS)
    save_file({"conv1.0.weight": torch.zeros(3)}, blob)
    with pytest.raises(InputError, match=r"^init: timm/test_resnet.r160_in1k has not the weights of timm's"):
        read_initial("timm:test_resnet", LIKE_TIMMS)
    # Of a pickle beside them nobody takes note.
    snapshot = next(hub.rglob("model.safetensors"))
    snapshot.unlink()
    (snapshot.parent / "pytorch_model.bin").write_bytes(malicious_pickles(tmp_path / "executed")["torch"])
    with pytest.raises(InputError, match=r"^init: timm/test_resnet.r160_in1k is neither in"):
        read_initial("timm:test_resnet", LIKE_TIMMS)
    assert not (tmp_path / "executed").exists()
