import os
import pickle
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import torch
from timm.data import create_dataset

from scaler import InputError
from scaler.data import DataConfig, load_data, open_source
from tests.data.conftest import write_classes, write_picture

NAMES = ("김치찌개", "class 10", "class 2", "Zebra", "apple", "🍎 사과")


def folder(root: Path, **settings) -> DataConfig:
    return DataConfig(name=f"folder:{root}", **settings)


def test_classes_of_any_name_are_listed_in_timms_order(tmp_path: Path) -> None:
    write_classes(tmp_path, dict.fromkeys(NAMES, 6))
    source = open_source(folder(tmp_path))
    assert source.classes == ("apple", "class 2", "class 10", "Zebra", "김치찌개", "🍎 사과")
    reader = create_dataset("", root=str(tmp_path)).reader
    assert tuple(sorted(reader.class_to_idx, key=reader.class_to_idx.get)) == source.classes
    labels = {reader.filename(index): label for index, (_, label) in enumerate(reader.samples)}
    for part in (source.train, source.validation, source.test):
        for index, label in enumerate(part.labels.tolist()):
            assert labels[part.pictures.name(index)] == label
    assert sum(len(part.labels) for part in (source.train, source.validation, source.test)) == 36


def test_decomposed_names_are_shown_composed_and_still_opened(tmp_path: Path, cache: str) -> None:
    decomposed = unicodedata.normalize("NFD", "김치찌개")
    assert decomposed != "김치찌개"
    write_classes(tmp_path / "d", {decomposed: 6, "b": 6})
    data = load_data(folder(tmp_path / "d", cache=cache), 16)
    assert data.classes == ("b", "김치찌개")
    assert len(list(data.train.pictures())) == len(data.train)
    (tmp_path / "d" / "김치찌개").mkdir()
    write_picture(tmp_path / "d" / "김치찌개" / "x.png")
    with pytest.raises(InputError, match="two folders that read '김치찌개'; rename or merge"):
        open_source(folder(tmp_path / "d"))


def test_a_class_whose_name_is_no_unicode_is_loaded(tmp_path: Path, cache: str) -> None:
    write_classes(tmp_path / "d", {"b": 8, os.fsdecode(b"caf\xe9"): 8})
    data = load_data(folder(tmp_path / "d", cache=cache), 16)
    assert data.classes == ("b", "caf\N{REPLACEMENT CHARACTER}")
    again = pickle.loads(pickle.dumps(data))
    assert len(list(again.test.pictures())) == len(data.test)


def test_a_split_by_seed_repeats_and_is_stratified(tmp_path: Path) -> None:
    write_classes(tmp_path, {"a": 40, "b": 20})
    one, two, other = (open_source(folder(tmp_path, seed=seed)) for seed in (5, 5, 6))
    names = [[source.test.pictures.name(index) for index in range(12)] for source in (one, two, other)]
    assert names[0] == names[1] != names[2]
    for part, count in ((one.train, 36), (one.validation, 12), (one.test, 12)):
        assert np.bincount(part.labels).tolist() == [count * 2 // 3, count // 3]


@pytest.mark.parametrize("validation", ["val", "valid", "validation"])
def test_given_splits_are_kept(tmp_path: Path, validation: str) -> None:
    for name, count in (("train", 9), (validation, 4), ("test", 5)):
        write_classes(tmp_path / name, {"a": count, "b": count})
    (tmp_path / "notes").mkdir()
    source = open_source(folder(tmp_path))
    assert [len(part.labels) for part in (source.train, source.validation, source.test)] == [18, 8, 10]
    for part, name in ((source.train, "train"), (source.validation, validation), (source.test, "test")):
        assert {part.pictures.name(index).split("/")[0] for index in range(len(part.labels))} == {name}


@pytest.mark.parametrize(("given", "sizes"), [("test", [32, 8, 6]), ("val", [32, 6, 8])])
def test_a_missing_split_is_taken_from_train(tmp_path: Path, given: str, sizes: list[int]) -> None:
    write_classes(tmp_path / "train", {"a": 20, "b": 20})
    write_classes(tmp_path / given, {"a": 3, "b": 3})
    source = open_source(folder(tmp_path))
    assert [len(part.labels) for part in (source.train, source.validation, source.test)] == sizes


def test_classes_may_be_called_like_splits(tmp_path: Path) -> None:
    write_classes(tmp_path, {"train": 10, "bus": 10, "test": 10})
    assert open_source(folder(tmp_path)).classes == ("bus", "test", "train")


@pytest.mark.parametrize(
    ("sizes", "mode", "resolution", "channels"),
    [
        ([(30, 50), (52, 30), (41, 41)], "RGB", 32, 3),
        ([(9, 5)], "L", 8, 1),
        ([(500, 400)], "L", 224, 1),
        ([(45, 46)], "RGB", 44, 3),
    ],
)
def test_resolution_and_channels_come_from_the_training_pictures(
    tmp_path: Path, sizes: list, mode: str, resolution: int, channels: int
) -> None:
    write_classes(tmp_path, {"a": 9, "b": 9}, sizes, mode)
    source = open_source(folder(tmp_path))
    assert (source.resolution, source.channels, source.flip) == (resolution, channels, True)
    source = open_source(folder(tmp_path, resolution=96, channels=4 - channels))
    assert (source.resolution, source.channels) == (96, 4 - channels)


def test_one_colour_picture_makes_a_data_set_coloured(tmp_path: Path, cache: str) -> None:
    write_classes(tmp_path / "d", {"a": 10, "b": 10}, mode="L")
    assert load_data(folder(tmp_path / "d", cache=cache), 16).channels == 1
    for index in range(10):
        write_picture(tmp_path / "d" / "a" / f"{index}.png")
    data = load_data(folder(tmp_path / "d", cache=cache), 16)
    assert data.channels == 3
    images, _ = next(data.train.batches(None, 12, 16, torch.device("cpu")))
    assert images.shape == (12, 3, 16, 16)


def test_paths_are_relative_to_the_current_folder_or_to_a_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_classes(tmp_path / "here" / "photos", {"a": 6, "b": 6})
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HOME", str(tmp_path))
    relative = DataConfig(name="folder:photos")
    assert relative.name == f"folder:{tmp_path}/here/photos"
    assert DataConfig(name="folder:~/here/photos") == relative
    rooted = DataConfig(name="folder:photos", root="~/here")
    assert (rooted.name, rooted.root) == ("folder:photos", f"{tmp_path}/here")
    monkeypatch.chdir(tmp_path)
    assert open_source(relative).classes == open_source(rooted).classes == ("a", "b")


def _empty(root: Path) -> None:
    root.mkdir()


def _empty_class(root: Path) -> None:
    write_classes(root, {"a": 5, "b": 5, "c": 0})


def _one_class(root: Path) -> None:
    write_classes(root, {"only": 9})


def _flat(root: Path) -> None:
    write_picture(root / "1.png")


def _few(root: Path) -> None:
    write_classes(root, {"a": 40, "b": 1})


def _too_few_for_every_split(root: Path) -> None:
    write_classes(root, {"a": 40, "b": 2})


def _absent(root: Path) -> None:
    write_classes(root / "train", {"a": 9, "b": 9})
    write_classes(root / "test", {"a": 9})


def _other(root: Path) -> None:
    write_classes(root / "train", {"a": 9, "b": 9})
    write_classes(root / "test", {"a": 9, "b": 9, "c": 9})


def _two_validations(root: Path) -> None:
    for name in ("train", "val", "valid"):
        write_classes(root / name, {"a": 9, "b": 9})


def _tiny(root: Path) -> None:
    write_classes(root, {"a": 1, "b": 1, "c": 1})


def _all_broken(root: Path) -> None:
    for name in "ab":
        for index in range(6):
            (root / name).mkdir(parents=True, exist_ok=True)
            (root / name / f"{index}.png").write_bytes(b"no picture")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: None, r"^data\.name: there is no folder .*; give folder:PATH"),
        (_empty, r"^data\.name: .* has no folders with pictures; put each class's"),
        (_flat, "has no folders with pictures"),
        (_empty_class, r"^data\.name: class folder .*c has no pictures; add some or remove"),
        (_one_class, r"has 1 class \('only'\); a network needs at least two"),
        (_few, r"class 'b' of .* has 1 of 41 pictures, too few to be in every split"),
        (_too_few_for_every_split, r"class 'b' of .* too few .*to be in every split"),
        (_tiny, r"class 'a' of .* has 1 of 3 pictures, too few"),
        (_absent, r"test has no folder of class 'b'; add it, or remove test to have it taken from train"),
        (_other, r"test has a class 'c' that train has not; add it to train or remove it"),
        (_two_validations, r"has both val and valid; keep one of them"),
        (_all_broken, r"none of 6 pictures of .* can be read"),
    ],
)
def test_folders_of_the_wrong_shape_are_refused(tmp_path: Path, make, message: str) -> None:
    make(tmp_path / "d")
    with pytest.raises(InputError, match=message) as raised:
        open_source(folder(tmp_path / "d"))
    assert "\n" not in str(raised.value)
