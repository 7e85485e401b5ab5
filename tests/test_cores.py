"""How many cores a process may use, with control groups as the kernel shows them, in files made for the test."""

import os
from pathlib import Path

import pytest

from scaler.cores import available_cores

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def limited(folder: Path, membership: str, files: dict[str, str]) -> int:
    """The cores that are found where the process is in these groups and the groups have these files."""
    (folder / "membership").write_text(membership)
    for name, text in files.items():
        file = folder / "groups" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return available_cores(folder / "groups", folder / "membership")


def test_without_control_groups_the_affinity_counts(tmp_path: Path) -> None:
    assert available_cores(tmp_path, tmp_path / "none") == CORES
    if hasattr(os, "sched_setaffinity"):
        before = os.sched_getaffinity(0)
        try:
            os.sched_setaffinity(0, {min(before)})
            assert available_cores(tmp_path, tmp_path / "none") == 1
        finally:
            os.sched_setaffinity(0, before)


@pytest.mark.parametrize(
    ("membership", "files"),
    [
        ("0::/\n", {"cpu.max": "100000 100000\n"}),
        ("0::/\n", {"cpu.max": "50000 100000\n"}),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "199999 100000\n"}),
        ("0::/known/to/the/host\n", {"cpu.max": "100000 100000\n"}),
        (
            "4:memory:/m\n1:cpu,cpuacct:/docker/x\n",
            {"cpu/docker/x/cpu.cfs_quota_us": "150000\n", "cpu/docker/x/cpu.cfs_period_us": "100000\n"},
        ),
        ("1:cpu:/x\n0::/\n", {"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n"}),
    ],
)
def test_a_containers_limit_counts(tmp_path: Path, membership: str, files: dict[str, str]) -> None:
    assert limited(tmp_path, membership, files) == 1


@pytest.mark.parametrize(
    ("membership", "files"),
    [
        ("0::/\n", {"cpu.max": "max 100000\n"}),
        ("0::/\n", {}),
        ("0::/\n", {"cpu.max": "100000000 100000\n"}),
        ("1:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}),
        ("1:cpuset:/\n", {"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n"}),
    ],
)
def test_no_limit_is_no_limit(tmp_path: Path, membership: str, files: dict[str, str]) -> None:
    assert limited(tmp_path, membership, files) == CORES
