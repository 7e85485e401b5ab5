"""Weights that a training begins with: those of an export or of timm's, as far as they fit the network."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
from huggingface_hub import constants, hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from timm.models import adapt_input_conv, get_pretrained_cfg, split_model_name_tag

from scaler.architecture import Architecture
from scaler.entries import timm_entry
from scaler.errors import InputError, nearest
from scaler.export_folder import WEIGHTS, read_export
from scaler.models import build
from scaler.weights import Tensors, checksum, read_tensors

_TIMM = "timm:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Initial:
    """Weights that a network can begin with; the rest of it begins as always.

    source      where they are from, as the user named it
    tensors     by the network's own names, in its own shapes
    of          number of tensors that the network has
    values      numbers in the tensors
    of_values   numbers in all of the network's
    """

    source: str
    tensors: Tensors
    of: int
    values: int
    of_values: int

    @property
    def checksum(self) -> str:
        """SHA-256 of the tensors, in hexadecimal."""
        return checksum(self.tensors)

    def __str__(self) -> str:
        return (
            f"{len(self.tensors)} of {self.of} tensors ({self.values:,} of {self.of_values:,} numbers)"
            f" taken from {self.source}, the rest fresh"
        )

    def to_dict(self) -> dict[str, Any]:
        """What a record says of them."""
        return {
            "source": self.source,
            "sha256": self.checksum,
            "tensors": len(self.tensors),
            "of": self.of,
            "values": self.values,
            "of_values": self.of_values,
        }


def read_initial(source: str, architecture: Architecture) -> Initial:
    """The weights of `source` that the network can begin with: those whose name and shape are its own.

    `source` is the folder of an export, or `timm:NAME` for what timm has for an entry point, which comes through timm
    from the Hugging Face hub or its cache; either as safetensors alone. A bias begins fresh where its weight does, and
    so does what merely counts batches. A first convolution for other input channels is adapted as timm does it. Raises
    `InputError` for a source that is not there, is damaged or has nothing for the network.
    """
    found = _of_timm(source.removeprefix(_TIMM)) if source.startswith(_TIMM) else _of_folder(source)
    with torch.device("meta"):
        wanted = {name: like for name, like in build(architecture).state_dict().items() if like.ndim}
    first = f"{timm_entry(architecture).first_conv}.weight"
    if first in found and found[first].ndim == 4:
        found = {**found, first: _for_channels(found[first], architecture.in_channels)}
    fits = {name for name, like in wanted.items() if name in found and found[name].shape == like.shape}
    taken = {name: found[name] for name in wanted if name in fits and _weight_of(name, wanted) in fits}
    if not taken:
        raise InputError(
            f"init: no tensor of {source} has the name and the shape of one of this {architecture.family}'s "
            f"{len(wanted)}; begin with a network of the same family and widths"
        )
    return Initial(
        source=source,
        tensors=taken,
        of=len(wanted),
        values=sum(tensor.numel() for tensor in taken.values()),
        of_values=sum(like.numel() for like in wanted.values()),
    )


def _of_folder(source: str) -> Tensors:
    if not Path(source).is_dir():
        raise InputError(f"init: there is no folder {source}; name an export's folder, or timm:NAME")
    return read_export(Path(source), "init")[1]


def _of_timm(name: str) -> Tensors:
    """The state dict of timm's pretrained network of that name."""
    entry_point, _ = split_model_name_tag(name)
    if not timm.is_model(entry_point):
        raise InputError(f"init: timm has no {name!r}{nearest(entry_point, timm.list_models())}; see timm.list_models")
    try:
        config = get_pretrained_cfg(name)
    except RuntimeError:
        tags = sorted(split_model_name_tag(found)[1] for found in timm.list_pretrained(f"{entry_point}.*"))
        raise InputError(
            f"init: {name!r} has a tag that timm does not know; timm's weights of {entry_point}: {', '.join(tags)}"
        ) from None
    file = (config and config.hf_hub_filename) or WEIGHTS
    if config is None or not config.hf_hub_id or not file.endswith(".safetensors"):
        raise InputError(f"init: timm has no pretrained weights of {name!r} as safetensors; name another")
    tensors = _from_hub(config.hf_hub_id, file)
    try:
        # Through timm's own loading, which checks and renames; it goes nowhere else for weights that it is given.
        model = timm.create_model(name, pretrained=True, pretrained_cfg_overlay={"state_dict": dict(tensors)})
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise InputError(f"init: {config.hf_hub_id} has not the weights of timm's {name!r} ({reason})") from None
    state: dict[str, torch.Tensor] = model.state_dict()
    return state


def _from_hub(repository: str, file: str) -> Tensors:
    name, _, revision = repository.partition("@")
    try:
        path = hf_hub_download(name, file, revision=revision or None, library_name="timm")
    except LocalEntryNotFoundError:
        raise InputError(
            f"init: {repository} is neither in {constants.HF_HUB_CACHE} nor can it be fetched; mend the connection"
        ) from None
    except (HfHubHTTPError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"init: {file} of {repository} cannot be fetched ({reason}); name another") from None
    return read_tensors(Path(path), "init", "fetch it again")[0]


def _weight_of(name: str, wanted: Tensors) -> str:
    """The weight to which a bias is added; the tensor itself if it is no bias."""
    weight = f"{name.removesuffix('.bias')}.weight"
    return weight if name.endswith(".bias") and weight in wanted else name


def _for_channels(weight: torch.Tensor, channels: int) -> torch.Tensor:
    """A first convolution's weight, (c_out, c_in, kernel, kernel), for images of other channels: as timm adapts that
    of colour; that of grey gives the same response to a grey picture in colour."""
    match weight.shape[1]:
        case 3:
            adapted: torch.Tensor = adapt_input_conv(channels, weight)
            return adapted
        case 1:
            return weight.repeat(1, channels, 1, 1) / channels
    return weight
