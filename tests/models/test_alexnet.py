"""AlexNet in torch: what its arithmetic says is what is built, and timm can do with it what it does with its own."""

import importlib
import json
import math
import warnings
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from hypothesis import given, settings
from safetensors.torch import save_file
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from scaler.architecture import ACTIVATIONS
from scaler.errors import InputError
from scaler.families import classic
from scaler.families.alexnet import AlexNet
from scaler.models import alexnet, build, timm_entry
from tests.conftest import DRAWS
from tests.families.test_alexnet import networks

CLASSICS = ("alexnet", "alexnet_one_tower")

EXAMPLES = {
    "halves": AlexNet(
        depths=(1, 2, 1, 1),
        widths=(8, 12, 16, 12, 20),
        resolution=28,
        num_classes=5,
        in_channels=1,
        stem="small",
        head_map=2,
    ),
    "normalised": AlexNet(
        depths=(2, 1, 2, 2),
        widths=(4, 8, 6, 10, 16),
        resolution=33,
        num_classes=5,
        in_channels=1,
        stem="small",
        normalisation="batch",
        activation="tanh",
        head_map=1,
    ),
    "plain": AlexNet(
        depths=(1, 1, 1, 3),
        widths=(6, 7, 8, 9, 10),
        resolution=67,
        num_classes=5,
        in_channels=1,
        groups=1,
        normalisation="none",
        activation="silu",
    ),
}


def images(network: AlexNet, count: int = 2) -> torch.Tensor:
    return torch.randn(count, network.in_channels, network.resolution, network.resolution)


def counted_activations(model: nn.Module, x: torch.Tensor) -> int:
    """Elements in the outputs of convolution, spatial pooling and linear layers, for one image."""
    sizes: list[int] = []

    def hook(module: nn.Module, _: object, output: torch.Tensor) -> None:
        if not (isinstance(module, nn.AdaptiveAvgPool2d) and output.shape[-1] == 1):
            sizes.append(output[0].numel())

    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear, nn.MaxPool2d, nn.AdaptiveAvgPool2d)):
            module.register_forward_hook(hook)
    model(x)
    return sum(sizes)


@settings(max_examples=DRAWS)
@given(networks())
def test_torch_counts_the_same_cost(network: AlexNet) -> None:
    cost = network.cost()
    with torch.device("meta"):
        model = build(network).eval()
        with FlopCounterMode(display=False) as counter:
            model(images(network, 1))
    assert counter.get_total_flops() == 2 * cost.macs
    assert sum(parameter.numel() for parameter in model.parameters()) == cost.params
    model = build(network).eval()
    assert counted_activations(model, images(network, 1)) == cost.activations


@settings(max_examples=DRAWS)
@given(networks())
def test_layer_table_names_the_modules(network: AlexNet) -> None:
    with torch.device("meta"):
        model = build(network)
    tabled = {layer.name: layer for layer in network.layers()}
    weighted = {name for name, module in model.named_modules() if isinstance(module, (nn.Conv2d, nn.Linear))}
    norms = {name for name, module in model.named_modules() if isinstance(module, nn.BatchNorm2d)}
    pools = {name for name, module in model.named_modules() if isinstance(module, (nn.MaxPool2d, nn.AdaptiveAvgPool2d))}
    assert weighted | norms | pools == set(tabled)
    for name in weighted | norms:
        module = model.get_submodule(name)
        assert sum(parameter.numel() for parameter in module.parameters()) == tabled[name].cost.params


@settings(max_examples=DRAWS)
@given(networks())
def test_timm_makes_the_same_network(network: AlexNet) -> None:
    entry = timm_entry(network)
    assert json.loads(json.dumps(entry.model_args)) == entry.model_args
    with torch.device("meta"):
        ours = build(network)
        theirs = timm.create_model(
            entry.name, **entry.model_args, num_classes=network.num_classes, in_chans=network.in_channels
        )
    shapes = {key: value.shape for key, value in ours.state_dict().items()}
    assert {key: value.shape for key, value in theirs.state_dict().items()} == shapes
    assert theirs.pretrained_cfg["input_size"] == (network.in_channels, network.resolution, network.resolution)
    assert f"{entry.first_conv}.weight" in shapes
    assert f"{entry.classifier}.weight" in shapes


def test_one_tower_is_torchvisions() -> None:
    reference = torchvision.models.alexnet().eval()
    with torch.device("meta"):
        model = build(classic("alexnet_one_tower")).eval()
    model.load_state_dict(reference.state_dict(), strict=True, assign=True)
    for side in (224, 192):
        x = torch.randn(1, 3, side, side)
        assert torch.equal(model(x), reference(x))
    reference.load_state_dict(model.state_dict(), strict=True)


def test_the_2012_network_has_the_papers_layers() -> None:
    with torch.device("meta"):
        model = build(classic("alexnet"))
    assert [layer.groups for layer in model.features if isinstance(layer, nn.Conv2d)] == [1, 2, 1, 2, 2]
    kinds = [type(layer).__name__ for layer in model.features]
    block = ["Conv2d", "ReLU", "LocalResponseNorm", "MaxPool2d"]
    assert kinds == [*block, *block, *["Conv2d", "ReLU"] * 3, "MaxPool2d"]
    assert all(layer.kernel_size == 3 and layer.stride == 2 for layer in model.features if type(layer) is nn.MaxPool2d)
    assert [layer.p for layer in model.classifier if isinstance(layer, nn.Dropout)] == [0.5, 0.5]


def test_local_response_normalisation_is_the_papers() -> None:
    model = build(EXAMPLES["halves"])
    layer = next(layer for layer in model.features if isinstance(layer, nn.LocalResponseNorm))
    x = torch.randn(1, 9, 1, 1, dtype=torch.float64) * 100
    a = x.flatten().tolist()
    # Section 3.3: k = 2, n = 5, α = 1e-4, β = 0.75.
    expected = [
        value / (2 + 1e-4 * math.fsum(b * b for b in a[max(0, i - 2) : min(8, i + 2) + 1])) ** 0.75
        for i, value in enumerate(a)
    ]
    assert torch.allclose(layer(x).flatten(), torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("example", EXAMPLES)
def test_interface(example: str) -> None:
    network = EXAMPLES[example]
    model = build(network)
    x = images(network)
    model(x).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())

    model.eval()
    features = model.forward_features(x)
    assert features.shape[:2] == (2, model.num_features)
    hidden = model.forward_head(features, pre_logits=True)
    assert hidden.shape == (2, model.head_hidden_size)
    assert torch.equal(model.get_classifier()(hidden), model(x))
    assert model(x).shape == (2, model.num_classes) == (2, 5)

    exported = torch.export.export(model, (x,)).module()
    torch.testing.assert_close(exported(x), model(x))

    model.reset_classifier(7)
    assert model(x).shape == (2, 7)
    model.reset_classifier(0)
    assert torch.equal(model(x), hidden)
    with pytest.raises(InputError, match="global_pool: 'max' is unknown"):
        model.reset_classifier(3, "max")


@pytest.mark.parametrize("example", EXAMPLES)
def test_features_only(example: str) -> None:
    network = EXAMPLES[example]
    x = images(network)
    features = build(network, features_only=True).eval()
    maps = features(x)
    assert [m.shape[1] for m in maps] == features.feature_info.channels() == [*network.widths[:4], network.widths[3]]
    assert features.feature_info.reduction() == ([4, 8, 16, 16, 32] if network.stem == "original" else [1, 2, 4, 4, 8])
    model = build(network).eval()
    weights = {key.replace("features_", "features."): value for key, value in features.state_dict().items()}
    model.load_state_dict(model.state_dict() | weights)
    assert torch.equal(model.forward_features(x), maps[-1])
    assert len(build(network, features_only=True, out_indices=(1, 3))(x)) == 2


@pytest.mark.parametrize("example", EXAMPLES)
def test_gradients_are_the_same_with_checkpointing(example: str) -> None:
    network = EXAMPLES[example].replace(dropout=0.0)
    model, x = build(network), images(network)
    gradients = []
    for enable in (False, True):
        model.set_grad_checkpointing(enable)
        model.zero_grad()
        model(x).square().sum().backward()
        gradients.append([parameter.grad.clone() for parameter in model.parameters()])
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_trains_in_channels_last(activation: str) -> None:
    network = EXAMPLES["halves"].replace(activation=activation)
    model = build(network).to(memory_format=torch.channels_last)
    model(images(network).to(memory_format=torch.channels_last)).sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in model.parameters())


@pytest.mark.parametrize("example", EXAMPLES)
def test_a_folder_gives_the_same_logits(example: str, tmp_path: Path) -> None:
    network = EXAMPLES[example]
    entry, model = timm_entry(network), build(network).eval()
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    config = {
        "architecture": entry.name,
        "num_classes": network.num_classes,
        "global_pool": "avg",
        "model_args": {**entry.model_args, "in_chans": network.in_channels},
        "pretrained_cfg": {
            "input_size": [network.in_channels, network.resolution, network.resolution],
            "num_classes": network.num_classes,
            "first_conv": entry.first_conv,
            "classifier": entry.classifier,
        },
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    x = images(network)
    loaded = timm.create_model(f"local-dir:{tmp_path}", pretrained=True).eval()
    assert torch.equal(loaded(x), model(x))
    other = timm.create_model(f"local-dir:{tmp_path}", pretrained=True, num_classes=3, in_chans=3).eval()
    assert other(x.expand(-1, 3, -1, -1)).shape == (2, 3)
    assert torch.equal(other.state_dict()["classifier.4.weight"], model.state_dict()["classifier.4.weight"])


def test_a_second_import_is_silent() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        importlib.reload(alexnet)
    with torch.device("meta"):
        assert type(timm.create_model("scaler_alexnet")) is alexnet.AlexNetModule


@pytest.mark.parametrize("name", CLASSICS)
def test_classics_are_plugins(name: str) -> None:
    assert timm_entry(classic(name)).tier == "plugin"


def test_entry_point_refuses_impossible_networks() -> None:
    with pytest.raises(InputError, match="groups: 5"):
        timm.create_model("scaler_alexnet", groups=5)
    with pytest.raises(InputError, match="global_pool: 'max' is unknown"):
        timm.create_model("scaler_alexnet", global_pool="max")
