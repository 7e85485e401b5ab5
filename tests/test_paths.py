from pathlib import Path

import pytest

from scaler import InputError
from scaler.paths import below, inside


@pytest.mark.parametrize(
    "name",
    ["../a", "a/../../b", "/etc/passwd", "..", "", ".", "..\\a", "C:\\a", "C:a", "\\\\host\\share", "a\0b"],
)
def test_names_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    for join in (below, inside):
        with pytest.raises(InputError, match="^weights: .* leads out of "):
            join(tmp_path, name, "weights")


def test_names_in_the_folder_are_paths(tmp_path: Path) -> None:
    for name in ("a", "b/c.d", "김치찌개", "a..b"):
        assert inside(tmp_path, name, "weights") == tmp_path / name


def test_links_are_followed_within_the_folder_only(tmp_path: Path) -> None:
    folder, outside = tmp_path / "folder", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    (folder / "real").touch()
    (folder / "near").symlink_to("real")
    (folder / "far").symlink_to(outside / "file")
    (folder / "deep").symlink_to(outside)
    (tmp_path / "alias").symlink_to(folder)
    assert inside(folder, "near", "weights").exists()
    assert inside(tmp_path / "alias", "near", "weights").exists()
    for name in ("far", "deep/file"):
        with pytest.raises(InputError, match=f"^weights: {folder / name} is a link out of {folder}; put the file"):
            inside(folder, name, "weights")
