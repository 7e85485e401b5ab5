"""Loading runs no code, and files lead nowhere: what is planted is refused by name, in one line."""

import ast
import json
import shutil
import tarfile
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import scaler
from scaler import InputError, load_study, train_final
from scaler.cli import main
from scaler.data import DataConfig, load_data
from scaler.export_folder import sha256
from scaler.prediction import Predictor
from scaler.study import artifacts_folder, existing_study, weights_file
from scaler.weights import load_weights
from tests.malice import flipped, malicious_pickles
from tests.test_prediction import write_color_export

PACKAGE = Path(scaler.__file__).parent
RUN_CODE = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
LOADERS = {"torch.load", "np.load", "numpy.load", "pd.read_pickle", "torch.hub", "joblib.load"}
PICKLES = {
    "executors/pool.py": "writes the evaluator for its own workers, into a file without a name",
    "executors/worker.py": "reads it from the descriptor that its parent hands down",
    "executors/ray/tuning.py": "reads the error that Tune has written in this process, in a folder of its own",
}


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """A folder as exports are."""
    write_color_export(tmp_path / "export")
    return tmp_path / "export"


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """What a pickle that is loaded creates."""
    return tmp_path / "executed"


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line with which a command refuses its input."""
    with pytest.raises(SystemExit) as left:
        main(arguments)
    errors = capsys.readouterr().err
    assert left.value.code == 2, errors
    assert len(errors.splitlines()) == 1
    return errors.removeprefix("scaler: ")


def test_nothing_else_in_scaler_can_run_what_it_loads() -> None:
    found = set()
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = set()
            if isinstance(node, ast.Import):
                names = {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names = {node.module or "", *(alias.name for alias in node.names)}
            elif isinstance(node, ast.Attribute):
                names = {ast.unparse(node)}
            if names & (RUN_CODE | LOADERS):
                found.add(file.relative_to(PACKAGE).as_posix())
    assert found == set(PICKLES)


@pytest.mark.parametrize("kind", ["plain", "torch"])
def test_a_pickle_in_place_of_an_exports_weights_is_refused(
    tiny: Path, export: Path, marker: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    planted = malicious_pickles(marker)[kind]
    (export / "model.safetensors").write_bytes(planted)
    (export / "a.png").touch()
    train = ["train", "tiny", "--network", "resnet20", "--init", str(export)]
    for arguments in (["predict", str(export), str(export)], train):
        assert "model.safetensors is no whole safetensors file" in refused(capsys, *arguments)
    (export / "model.safetensors").unlink()
    for name in ("pytorch_model.bin", "model.pth", "weights.pt", "optimizer.pt", "open_clip_pytorch_model.bin"):
        (export / name).write_bytes(planted)
    assert f"{export} is no export, it has no model.safetensors" in refused(
        capsys, "predict", str(export), str(export / "a.png")
    )
    (export / "config.json").write_bytes(planted)
    (export / "model.safetensors").touch()
    assert "config.json cannot be read" in refused(capsys, "predict", str(export), str(export / "a.png"))
    assert not marker.exists()


def test_pickles_beside_an_exports_weights_are_not_looked_at(export: Path, marker: Path) -> None:
    for kind, content in malicious_pickles(marker).items():
        for name in ("pytorch_model.bin", "model.pth", f"{kind}.pt", "label_names.pkl"):
            (export / name).write_bytes(content)
    config = json.loads((export / "config.json").read_text())
    Predictor(export)
    for changed in (
        {**config, "model_args": {**config["model_args"], "checkpoint_path": str(export / "model.pth")}},
        {**config, "architecture": f"local-dir:{export}"},
        {**config, "label_names": "pytorch_model.bin"},
    ):
        (export / "config.json").write_text(json.dumps(changed))
        with pytest.raises(InputError, match="^dir: "):
            Predictor(export)
    config["pretrained_cfg"] |= {"file": str(export / "model.pth"), "url": f"file://{export}/model.pth"}
    (export / "config.json").write_text(json.dumps({**config, "pretrained_cfg": config["pretrained_cfg"]}))
    Predictor(export)
    assert not marker.exists()


def test_damaged_and_foreign_weights_of_an_export_are_refused(export: Path) -> None:
    file, config = export / "model.safetensors", json.loads((export / "config.json").read_text())
    whole, state = file.read_bytes(), load_file(file)
    for content in (b"", whole[:-1], whole[: len(whole) // 2], flipped(whole, 2)):
        file.write_bytes(content)
        with pytest.raises(InputError, match=rf"^dir: {file} is no whole safetensors file"):
            Predictor(export)
    name = next(iter(state))
    for changed in ({name: torch.zeros(3)}, {"other": torch.zeros(3)}):
        save_file({**state, **changed}, file)
        with pytest.raises(InputError, match=rf"^dir: {file} does not fit the network, it (has|lacks) "):
            Predictor(export)
    file.write_bytes(whole)
    (export / "config.json").write_text(json.dumps({**config, "scaler": {"sha256": sha256(file)}}))
    Predictor(export)
    file.write_bytes(flipped(whole))  # one bit of a number
    with pytest.raises(InputError, match=rf"^dir: {file} is damaged, its SHA-256 is not the config's; export it"):
        Predictor(export)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_link_out_of_an_exports_folder_is_not_followed(export: Path, tmp_path: Path, name: str) -> None:
    outside = tmp_path / "outside"
    shutil.move(export / name, outside)
    (export / name).symlink_to(outside)
    with pytest.raises(InputError, match=rf"^dir: {export / name} is a link out of {export}; put the file itself"):
        Predictor(export)
    (export / name).unlink()
    shutil.move(outside, export / "inside")
    (export / name).symlink_to("inside")
    Predictor(export)


@pytest.fixture
def searched(tiny: Path) -> Path:
    scaler.search("tiny", overrides={"search.trials": 1, "recipe.epochs": 1})
    return tiny


def test_artifacts_are_read_as_numbers_and_from_their_folder_alone(searched: Path, marker: Path) -> None:
    config = load_study("tiny")
    study = existing_study(config)
    assert study is not None
    (trial,) = study.get_trials()
    model = scaler.build(scaler.from_dict(trial.user_attrs["architecture"]))
    artifact = trial.user_attrs["weights"]
    load_weights(model, weights_file(config, artifact))
    file = artifacts_folder(config) / artifact
    whole = file.read_bytes()
    for content in (whole[:-1], flipped(whole), *malicious_pickles(marker).values()):
        file.write_bytes(content)
        with pytest.raises(InputError, match=rf"^weights: {file} is .*; train it again"):
            load_weights(model, weights_file(config, artifact))
    assert not marker.exists()
    for name in ("../study.db", str(file), "..", "a/../../study.db"):
        with pytest.raises(InputError, match="^weights: .* leads out of"):
            weights_file(config, name)
    file.unlink()
    file.symlink_to(searched / "tiny" / "study.toml")
    with pytest.raises(InputError, match=rf"^weights: {file} is a link out of"):
        weights_file(config, artifact)


def test_a_training_does_not_go_on_from_what_is_planted_nor_write_through_links(
    searched: Path, marker: Path, caplog: pytest.LogCaptureFixture
) -> None:
    expected = train_final("tiny", epochs=1)
    weights = load_file(expected.folder / "last.safetensors")
    checkpoint = expected.folder / "checkpoint.safetensors"
    whole = checkpoint.read_bytes()
    outside = searched / "outside"
    outside.write_text("mine")
    for content in (whole[:-1], flipped(whole), *malicious_pickles(marker).values()):
        caplog.clear()
        checkpoint.write_bytes(content)
        for name in ("last.safetensors", "best.safetensors"):
            (expected.folder / name).unlink()
            (expected.folder / name).symlink_to(outside)
        again = train_final("tiny", epochs=1)
        (line,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
        assert line.startswith(f"checkpoint: {checkpoint} is ")
        assert again.result.value == expected.result.value
        assert not (expected.folder / "last.safetensors").is_symlink()
        assert all(
            torch.equal(value, weights[name]) for name, value in load_file(again.folder / "last.safetensors").items()
        )
    assert outside.read_text() == "mine"
    assert not marker.exists()


@pytest.mark.parametrize("name", ["torch/cifar10", "torch/cifar100", "torch/imagenet", "torch/qmnist", "torch/mnist"])
def test_pickles_among_a_data_sets_files_are_refused(tmp_path: Path, marker: Path, name: str) -> None:
    root = tmp_path / "data"
    folders = {"cifar10": "cifar-10-batches-py", "cifar100": "cifar-100-python", "imagenet": "."}
    folder = root / folders.get(name.removeprefix("torch/"), f"{name.removeprefix('torch/').upper()}/processed")
    folder.mkdir(parents=True)
    for content in malicious_pickles(marker).values():
        for file in (
            *("batches.meta", "meta", "train", "test", "meta.bin", "training.pt", "test.pt", "test_batch"),
            *(f"data_batch_{number}" for number in range(1, 6)),
        ):
            (folder / file).write_bytes(content)
        with pytest.raises(InputError, match=r"^data\.root: "):
            load_data(DataConfig(name=name, root=str(root), cache=tmp_path / "cache"), side=8)
    assert not marker.exists()


def test_labels_of_shards_are_numbers_and_shards_lie_in_their_folder(tmp_path: Path, marker: Path) -> None:
    root = tmp_path / "shards"
    root.mkdir()
    (tmp_path / "1.cls").write_bytes(malicious_pickles(marker)["plain"])
    with tarfile.open(root / "train-0.tar", "w") as tar:
        tar.add(tmp_path / "1.cls", "1.cls")
    with pytest.raises(InputError, match=rf"^data\.root: shard {root / 'train-0.tar'} cannot be read"):
        load_data(DataConfig(name="wds/mine", root=str(root), cache=tmp_path / "cache"), side=8)
    shutil.move(root / "train-0.tar", tmp_path / "train-0.tar")
    for name in ("../train-0.tar", str(tmp_path / "train-0.tar")):
        (root / "info.json").write_text(json.dumps({"splits": {"train": {"filenames": [name]}}}))
        with pytest.raises(InputError, match=rf"^data\.root: '{name}' leads out of"):
            load_data(DataConfig(name="wds/mine", root=str(root), cache=tmp_path / "cache"), side=8)
    assert not marker.exists()


def test_a_decoded_cache_is_bytes_and_json(tmp_path: Path, marker: Path) -> None:
    for number in range(12):
        place = tmp_path / "pictures" / f"class {number % 2}" / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), number).save(place)
    config = DataConfig(name=f"folder:{tmp_path / 'pictures'}", cache=tmp_path / "cache")
    load_data(config, side=8)
    files = [file for file in (tmp_path / "cache").iterdir() if file.suffix in (".json", ".u8")]
    assert {file.suffix for file in files} == {".json", ".u8"}
    for content in malicious_pickles(marker).values():
        for file in files:
            file.write_bytes(content)
        again = load_data(config, side=8)
        assert sum(len(split) for split in (again.train, again.validation, again.test)) == 12
    assert not marker.exists()
