import json
import subprocess
import sys
from pathlib import Path

from tests.conftest import FULL

COUNT = 100_000 if FULL else 5_000

ITERATE = """
import json, os, pickle, sys, time
from pathlib import Path
import numpy as np, torch
from PIL import Image
from scaler.data import DataConfig, Source, load_data
from scaler.data.splitting import complete, Part
from scaler.data.stores import FilePictures

class Noise(FilePictures):
    costly = False
    def __init__(self, root, names, listing=None):
        super().__init__(root, names, listing)
        self._noise = np.random.default_rng(0).integers(0, 256, (64, 128, 3), dtype=np.uint8)
    def listed_in(self, listing):
        return Noise(self.root, self.names, listing)
    def subset(self, indices):
        return Noise(self.root, [self.names[index] for index in indices.tolist()])
    def size(self, index):
        return 64, 64, 3
    def open(self, index, channels=None):
        return Image.fromarray(self._noise[:, index % 64 : index % 64 + 64])

def memory(key):
    return int(next(line for line in open("/proc/self/status") if line.startswith(key)).split()[1]) * 1024

count, cache = int(sys.argv[1]), sys.argv[2]
own = memory("RssAnon"), memory("VmHWM")  # what torch and its like take by themselves
labels = np.arange(count) % 10
names = [f"class {label}/{index:032x}.png" for index, label in enumerate(labels.tolist())]
config = DataConfig(name="folder:/noise", cache=cache)
classes = tuple("0123456789")
parts = complete({"train": Part(Noise(Path(cache), names), labels)}, classes, config)
source = Source(config=config, classes=classes, channels=3, resolution=64, flip=True, **parts)
data = load_data(source, 64)
if len(sys.argv) > 3:
    largest, seen, started = 0, 0, time.perf_counter()
    for side in (64, 64, 48):
        order = torch.randperm(len(data.train))
        for images, labels in data.train.batches(order, 256, side, torch.device("cpu")):
            seen += len(labels)
            largest = max(largest, memory("RssAnon"))
    seconds = time.perf_counter() - started
    pickled = len(pickle.dumps(data))
    pickled -= sum(len(pickle.dumps(split.labels)) for split in (data.train, data.validation, data.test))
    found = {"grown": largest - own[0], "peak": memory("VmHWM") - own[1], "seen": seen, "pickled": pickled}
    print(json.dumps({**found, "per_second": seen / seconds}))
"""


def test_many_images_take_little_memory(tmp_path: Path) -> None:
    script = tmp_path / "iterate.py"
    script.write_text(ITERATE)
    command = [sys.executable, str(script), str(COUNT), str(tmp_path / "cache")]
    subprocess.run(command, check=True)
    done = subprocess.run([*command, "measure"], check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)
    assert found["seen"] == 3 * COUNT * 6 // 10
    kept = COUNT * 6 // 10 * 3 * 64 * 64  # a small split is kept, whole
    assert found["grown"] < min(kept, 2**29) + 2**27, found
    assert found["peak"] < 2 * 2**30, found  # with the pages of the map, which the system may take back
    assert found["pickled"] < 100_000, found  # paths to files, not names and not pixels
