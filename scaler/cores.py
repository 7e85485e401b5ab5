"""How many CPU cores this process may use."""

import os
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")


def available_cores(groups: Path = _GROUPS, membership: Path = _MEMBERSHIP) -> int:
    """CPU cores that this process may use: its affinity mask, less where a container limits its CPU time."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(min([float(affinity), *_quotas(groups, membership)])))


def _quotas(groups: Path, membership: Path) -> list[float]:
    """The CPU limits, in cores, of the control groups that the process is in (cgroup version 2 and version 1)."""
    if not membership.is_file():
        return []
    quotas = []
    for line in membership.read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        # A container often sees its own group as the root, whatever path the host knows it by.
        group = Path(path.lstrip("/"))
        for place in (group, *group.parents):
            limit = _version_1(groups / "cpu" / place) if controllers else _version_2(groups / place)
            if limit is not None:
                quotas.append(limit)
    return quotas


def _version_2(folder: Path) -> float | None:
    file = folder / "cpu.max"
    if not file.is_file():
        return None
    quota, period = file.read_text().split()
    return None if quota == "max" else int(quota) / int(period)


def _version_1(folder: Path) -> float | None:
    file = folder / "cpu.cfs_quota_us"
    if not file.is_file():
        return None
    quota = int(file.read_text())
    return None if quota <= 0 else quota / int((folder / "cpu.cfs_period_us").read_text())
