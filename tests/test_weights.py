import pickle
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from scaler import InputError
from scaler.weights import checksum, load_weights, read_tensors, save_tensors, save_weights
from tests.malice import flipped, malicious_pickles


def test_weights_come_back_in_a_file_that_everybody_reads(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).to(memory_format=torch.channels_last)
    path = save_weights(model, tmp_path)
    other = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    load_weights(other, path)
    for name, tensor in load_file(path).items():
        assert torch.equal(other.state_dict()[name], tensor)
        assert torch.equal(model.state_dict()[name], tensor)


def test_types_shapes_and_texts_come_back(tmp_path: Path) -> None:
    tensors = {
        "half": torch.rand(3, 2).to(torch.bfloat16),
        "flags": torch.tensor([True, False]),
        "number": torch.tensor(7),
        "none": torch.empty(0, 4),
    }
    save_tensors(tensors, tmp_path / "a", {"said": "김치찌개"})
    found, said = read_tensors(tmp_path / "a")
    assert said == {"format": "pt", "said": "김치찌개"}
    assert {name: (value.dtype, value.shape) for name, value in found.items()} == {
        name: (value.dtype, value.shape) for name, value in tensors.items()
    }
    assert checksum(found) == checksum(tensors)
    assert len({checksum(tensors), checksum({**tensors, "number": torch.tensor(8)}), checksum({})}) == 3
    assert checksum({"a": torch.zeros(2, 3)}) != checksum({"a": torch.zeros(3, 2)})


def test_no_flipped_bit_changes_what_is_read(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    tensors = {"a": torch.rand(4), "b": torch.rand(2, 2)}
    save_tensors(tensors, path, {"said": "something"})
    whole = path.read_bytes()
    passed = []
    for place in range(len(whole)):
        path.write_bytes(flipped(whole, place))
        try:
            found, metadata = read_tensors(path)
        except InputError:
            continue
        passed.append(place)
        assert checksum(found) == checksum(tensors)
        assert metadata["said"] == "something"
    name = whole.index(b"sha256")
    assert set(passed) <= set(range(name, name + 6))  # a checksum by another name is a text like others


def test_what_is_no_whole_file_is_refused_by_name_and_nothing_runs(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_tensors({"a": torch.rand(100)}, path)
    whole = path.read_bytes()
    marker = tmp_path / "executed"
    for content in (b"", whole[:9], whole[:-1], whole + b"0", *malicious_pickles(marker).values()):
        path.write_bytes(content)
        with pytest.raises(InputError, match=rf"^weights: {path} is no whole safetensors file \(.*\); train it again$"):
            read_tensors(path)
    assert not marker.exists()
    with pytest.raises(InputError, match=rf"^weights: {tmp_path / 'nowhere'} cannot be read"):
        read_tensors(tmp_path / "nowhere")
    with pytest.raises(InputError, match=rf"^weights: {tmp_path} cannot be read"):
        read_tensors(tmp_path)


def test_the_planted_pickles_would_run(tmp_path: Path) -> None:
    """Else the tests that plant them would prove nothing."""
    marker = tmp_path / "executed"
    for content in malicious_pickles(marker).values():
        path = tmp_path / "planted"
        path.write_bytes(content)
        if content[:2] == b"PK":
            torch.load(path, weights_only=False)
        else:
            pickle.loads(content)
        marker.rmdir()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight": torch.zeros(4, 2)}, "has weight as (4, 2), the network as (2, 4)"),
        ({"weight": None}, "lacks weight"),
        ({"more": torch.zeros(3)}, "has more, which the network lacks"),
    ],
)
def test_weights_of_another_network_are_refused(
    tmp_path: Path, change: dict[str, torch.Tensor | None], message: str
) -> None:
    model = nn.Linear(4, 2)
    state = {name: value for name, value in {**model.state_dict(), **change}.items() if value is not None}
    save_file(state, tmp_path / "weights.safetensors")
    before = checksum(model.state_dict())
    with pytest.raises(InputError, match=re.escape(f"weights.safetensors does not fit the network, it {message}; ")):
        load_weights(model, tmp_path / "weights.safetensors")
    assert checksum(model.state_dict()) == before
