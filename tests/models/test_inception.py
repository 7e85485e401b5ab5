"""GoogLeNet and Inception v3 in torch: exact cost, torchvision's weights, timm's interface."""

import importlib
import warnings

import pytest
import timm
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

import scaler.models.inception
from scaler.architecture import ACTIVATIONS, Architecture
from scaler.families import CLASSICS
from scaler.families.inception import NORMS, STEMS, Inception
from scaler.models import build, timm_entry
from tests.conftest import DRAWS

SMALL = [
    Inception(depths=(1, 1, 1), widths=(8, 8, 12, 16), resolution=8, num_classes=5, in_channels=1, stem="small"),
    Inception(
        depths=(2, 4, 1),
        widths=(24, 16, 20, 36),
        resolution=40,
        num_classes=5,
        in_channels=1,
        kernel=3,
        norm="batch",
        activation="silu",
    ),
    Inception(
        depths=(3, 7, 3),
        widths=(12, 12, 16, 20),
        resolution=31,
        num_classes=5,
        in_channels=1,
        reduction=2,
        aux_heads=True,
    ),
]
NAMES = ("googlenet", "googlenet_bn", "inception_v3")


@st.composite
def inceptions(draw: st.DrawFn) -> Inception:
    stem = draw(st.sampled_from(STEMS))
    return Inception(
        depths=tuple(draw(st.lists(st.integers(1, 7), min_size=3, max_size=3))),
        widths=tuple(draw(st.lists(st.integers(1, 48), min_size=4, max_size=4))),
        resolution=draw(st.integers(31 if stem == "imagenet" else 8, 48)),
        num_classes=draw(st.integers(1, 12)),
        in_channels=draw(st.integers(1, 4)),
        kernel=draw(st.sampled_from([3, 5])),
        reduction=draw(st.sampled_from(["published", 1, 2, 5])),
        norm=draw(st.sampled_from(NORMS)),
        stem=stem,
        aux_heads=draw(st.booleans()),
        activation=draw(st.sampled_from(ACTIVATIONS)),
    )


def images(net: Architecture, count: int = 2) -> torch.Tensor:
    return torch.randn(count, net.in_channels, net.resolution, net.resolution)


def counted_macs(net: Architecture) -> int:
    with torch.device("meta"):
        model, batch = build(net).eval(), images(net, 1)
    with FlopCounterMode(display=False) as counter:
        model(batch)
    return counter.get_total_flops() // 2


def layer_names(net: Architecture) -> set[str]:
    return {layer.name for layer in net.layers() if layer.kind != "pool"}


def module_names(model: nn.Module) -> set[str]:
    return {name.rpartition(".")[0] for name in model.state_dict()}


class CountActivations(TorchDispatchMode):
    """Counts the elements that convolutions, spatial pooling and linear layers put out, functional ones included."""

    OPERATORS = frozenset(
        {"convolution", "max_pool2d_with_indices", "avg_pool2d", "_adaptive_avg_pool2d", "addmm", "mm"}
    )

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        output = func(*args, **(kwargs or {}))
        if func.overloadpacket.__name__ in self.OPERATORS:
            self.elements += (output[0] if isinstance(output, tuple) else output).numel()
        return output


@pytest.mark.parametrize("name", NAMES)
def test_classics_cost_what_torch_counts(name: str) -> None:
    net = CLASSICS[name]
    with torch.device("meta"):
        model, batch = build(net).eval(), images(net, 1)
    assert counted_macs(net) == net.cost().macs
    assert sum(parameter.numel() for parameter in model.parameters()) == net.cost().params
    assert module_names(model) == layer_names(net)
    with CountActivations() as counter:
        model(batch)
    assert counter.elements == net.cost().activations


@settings(max_examples=DRAWS)
@given(inceptions())
def test_random_networks_cost_what_torch_counts(net: Inception) -> None:
    model = build(net).eval()
    assert counted_macs(net) == net.cost().macs
    assert sum(parameter.numel() for parameter in model.parameters()) == net.cost().params
    assert module_names(model) == layer_names(net)
    elements = 0

    def count(module: nn.Module, inputs: object, output: torch.Tensor) -> None:
        nonlocal elements
        elements += output.numel()

    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.MaxPool2d, nn.Linear)):
            module.register_forward_hook(count)
    with torch.inference_mode():
        logits = model(images(net, 1))
    assert elements == net.cost().activations
    assert logits.shape == (1, net.num_classes)


def test_smallest_and_odd_sides_run() -> None:
    for stem, smallest in (("imagenet", 31), ("small", 8)):
        base = Inception(depths=(1, 1, 1), widths=(4, 4, 4, 4), resolution=smallest, num_classes=2, stem=stem)
        for side in range(smallest, smallest + 34):
            net = base.replace(resolution=side)
            with torch.device("meta"):
                model, batch = build(net).eval(), images(net, 1)
            with CountActivations() as counter:
                model(batch)
            assert counter.elements == net.cost().activations


@pytest.mark.parametrize("aux_heads", [False, True])
def test_torchvision_weights_load(aux_heads: bool) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = torchvision.models.googlenet(weights=None, aux_logits=aux_heads, init_weights=False)
    net = CLASSICS["googlenet_bn"].replace(aux_heads=aux_heads)
    ours = build(net)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    batch = images(net)
    with torch.inference_mode():
        assert torch.equal(ours.eval()(batch), theirs.eval()(batch))
    if aux_heads:
        # The heads' dropout differs from pass to pass unless it is off.
        theirs.train()
        for model in (ours.train(), theirs):
            for module in model.modules():
                if isinstance(module, nn.Dropout):
                    module.p = 0.0
        expected = theirs(batch)
        logits, (first, second) = ours.forward_with_aux(batch)
        assert torch.equal(logits, expected.logits)
        assert torch.equal(first, expected.aux_logits1)
        assert torch.equal(second, expected.aux_logits2)


def test_googlenet_has_torchvisions_keys() -> None:
    with torch.device("meta"):
        plain, normed = (module_names(build(CLASSICS[name])) for name in ("googlenet", "googlenet_bn"))
    assert plain == {name for name in normed if not name.endswith(".bn")}


@pytest.mark.parametrize("net", SMALL)
def test_timm_interface(net: Inception) -> None:
    model = build(net)
    batch = images(net)
    logits = model(batch)
    assert logits.shape == (2, 5)
    logits.sum().backward()
    unused = {name for name, parameter in model.named_parameters() if parameter.grad is None}
    assert all(name.startswith("aux") for name in unused)
    model.eval()
    features = model.forward_features(batch)
    assert torch.equal(model.forward_head(features), model(batch))
    assert model.forward_head(features, pre_logits=True).shape == (2, model.head_hidden_size)
    assert features.shape[1] == model.num_features
    assert model.get_classifier() is model.fc
    assert model.pretrained_cfg["input_size"] == (1, net.resolution, net.resolution)
    assert model.pretrained_cfg["first_conv"] == timm_entry(net).first_conv
    exported = torch.export.export(model, (batch,)).module()
    assert torch.allclose(exported(batch), model(batch), atol=1e-6)
    model.reset_classifier(3)
    assert model(batch).shape == (2, 3)
    assert all(aux.shape == (2, 3) for aux in model.forward_with_aux(batch)[1])
    model.reset_classifier(0)
    assert model(batch).shape == (2, model.num_features)


@pytest.mark.parametrize("net", SMALL)
def test_auxiliary_heads_train(net: Inception) -> None:
    model = build(net)
    logits, aux = model.forward_with_aux(images(net))
    assert [head.shape for head in aux] == [(2, 5)] * (2 * net.aux_heads)
    sum(aux, logits).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("net", SMALL)
def test_features_only(net: Inception) -> None:
    model = build(net, features_only=True).eval()
    maps = model(images(net))
    assert len(maps) == (4 if net.stem == "small" else 5)
    assert [output.shape[1] for output in maps] == model.feature_info.channels()
    assert maps[-1].shape[1] == build(net).num_features
    for output, reduction in zip(maps, model.feature_info.reduction(), strict=True):
        # Pooling rounds down but for the last.
        assert abs(output.shape[-1] - net.resolution / reduction) < 1


@pytest.mark.parametrize("net", SMALL)
def test_timm_makes_the_same_network(net: Inception) -> None:
    entry = timm_entry(net)
    model = timm.create_model(entry.name, **entry.model_args, num_classes=5, in_chans=1)
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    assert shapes == {name: tensor.shape for name, tensor in build(net).state_dict().items()}
    assert isinstance(model.get_submodule(entry.first_conv), nn.Conv2d)


def test_gradient_checkpointing_changes_no_gradient() -> None:
    net = SMALL[0]
    model, batch = build(net.replace(dropout=0.0)), images(net)
    gradients = []
    for enable in (False, True):
        model.set_grad_checkpointing(enable)
        model.zero_grad()
        model(batch).sum().backward()
        gradients.append([parameter.grad.clone() for parameter in model.parameters()])
    assert model.grad_checkpointing
    assert all(torch.equal(*pair) for pair in zip(*gradients, strict=True))


def test_second_import_registers_nothing_anew() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        importlib.reload(scaler.models.inception)
    assert timm.is_model("scaler_inception")


def test_inception_v3_is_timms_own() -> None:
    net = CLASSICS["inception_v3"].replace(resolution=75, num_classes=5, in_channels=1, activation="silu", dropout=0.1)
    entry = timm_entry(net)
    assert (entry.name, entry.tier) == ("inception_v3", "stock")
    with torch.device("meta"):
        model, batch = build(net), images(net)
        assert model(batch).shape == (2, 5)
        assert any(isinstance(module, (nn.SiLU, timm.layers.activations.Swish)) for module in model.modules())
    assert counted_macs(net) == net.cost().macs
    with CountActivations() as counter, torch.device("meta"):
        build(net).eval()(images(net, 1))
    assert counter.elements == net.cost().activations
