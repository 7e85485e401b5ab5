"""The code that builds networks from timm's classes: it is run where there is no scaler."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from scaler.exporter.without_scaler import code_without_scaler
from tests.exporter.folders import PACKAGES, images_for, tier, untrained
from tests.models.examples import EXAMPLES

EXTRA = {
    "vgg large map": EXAMPLES["vgg global"].replace(resolution=70, pools=3, head_map=2),
    "resnet deep stages": EXAMPLES["resnet cifar B"].replace(stem="deep", resolution=20, block="bottleneck"),
}
PLUGINS = {name: network for name, network in (EXAMPLES | EXTRA).items() if tier(network) == "plugin"}


def test_the_code_gives_the_network_where_there_is_no_scaler(tmp_path: Path) -> None:
    script, expected = ["import importlib.util, sys, torch", "found = {}"], {}
    for index, (name, network) in enumerate(PLUGINS.items()):
        code = code_without_scaler(network)
        if code is None:
            continue
        folder = tmp_path / str(index)
        folder.mkdir()
        model, images = untrained(network), images_for(network)
        save_file(model.state_dict(), folder / "model.safetensors")
        save_file({"images": images}, folder / "images.safetensors")
        with torch.inference_mode():
            expected[name] = model(images)
        run = f'found[{name!r}] = model(load_file("{folder}/images.safetensors")["images"]).detach()'
        script += [code.replace("FOLDER", str(folder)), run]
    script += [
        "from safetensors.torch import save_file",
        f'save_file(found, "{tmp_path}/found.safetensors")',
        'print(any(name.partition(".")[0] == "scaler" for name in sys.modules))',
    ]
    (tmp_path / "script.py").write_text("\n".join(script))
    done = subprocess.run(
        [sys.executable, "-P", "-S", tmp_path / "script.py"],
        env={**os.environ, "PYTHONPATH": PACKAGES},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == "False\n"
    found = load_file(tmp_path / "found.safetensors")
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], logits) for name, logits in expected.items())
    families = [PLUGINS[name].family for name in expected]
    assert {family: families.count(family) for family in set(families)} == {"efficientnet": 3, "resnet": 2, "vgg": 3}


@pytest.mark.parametrize("name", ["alexnet plain", "inception small", "vgg single kernels", "resnet A", "resnet plain"])
def test_there_is_no_code_where_timm_has_no_classes(name: str) -> None:
    assert code_without_scaler(EXAMPLES[name]) is None
