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

count, cache = int(sys.argv[1]), sys.argv[2]
labels = np.arange(count) % 10
names = [f"class {label}/{index:032x}.png" for index, label in enumerate(labels.tolist())]
config = DataConfig(name="folder:/noise", cache=cache)
classes = tuple("0123456789")
parts = complete({"train": Part(Noise(Path(cache), names), labels)}, classes, config)
source = Source(config=config, classes=classes, channels=3, resolution=64, flip=True, **parts)
data = load_data(source, 64)
if len(sys.argv) > 3:
    def status(key):
        return int(next(line for line in open("/proc/self/status") if line.startswith(key)).split()[1]) * 1024
    # what torch and its libraries take by themselves, with one batch of the kind
    torch.empty(256, 3, 64, 64, dtype=torch.uint8)
    before, largest = status("RssAnon"), 0
    seen, started = 0, time.perf_counter()
    for epoch in range(3):
        order, side = torch.randperm(len(data.train)), 64 - 16 * (epoch == 2)
        for images, labels in data.train.batches(order, 256, side, torch.device("cpu")):
            seen += len(labels)
            largest = max(largest, status("RssAnon"))
    seconds = time.perf_counter() - started
    splits = data.train, data.validation, data.test
    pickled = len(pickle.dumps(data)) - sum(len(pickle.dumps(split.labels)) for split in splits)
    print(json.dumps({
        "grown": largest - before, "peak": status("VmHWM"), "before": before, "seen": seen, "pickled": pickled,
        "per_second": seen / seconds,
    }))
"""


def test_many_images_take_little_memory(tmp_path: Path) -> None:
    script = tmp_path / "iterate.py"
    script.write_text(ITERATE)
    command = [sys.executable, str(script), str(COUNT), str(tmp_path / "cache")]
    subprocess.run(command, check=True)
    done = subprocess.run([*command, "measure"], check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)
    assert found["seen"] == 3 * COUNT * 6 // 10
    map_size = COUNT * 6 // 10 * 3 * 64 * 64
    allowed = min(map_size, 2**29) + 2**27  # a small split is kept, whole
    assert found["grown"] < allowed, found
    assert found["peak"] - found["before"] < 2 * 2**30, found
    assert found["pickled"] < 1_000_000, found
