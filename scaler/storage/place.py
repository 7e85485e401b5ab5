"""Where a file lies: on a disk of this machine, or on a network file system, which SQLite cannot share."""

from pathlib import Path

_NETWORK = ("nfs", "cifs", "smb", "afs", "ceph", "lustre", "gpfs", "beegfs", "glusterfs", "fuse.sshfs", "fuse.gluster")
"""How the names of network file systems begin."""

_MOUNTS = Path("/proc/self/mountinfo")


def network_file_system(path: Path, mounts: Path = _MOUNTS) -> str | None:
    """The kind of network file system that holds the path; None if it is none, or the system does not say.

    mounts  what Linux says about its file systems (proc_pid_mountinfo(5))
    """
    try:
        lines = mounts.read_text().splitlines()
    except OSError:
        return None
    place = path.resolve()
    held: dict[Path, str] = {}  # of two mounts on one point the later one is seen
    for line in lines:
        point, _, kind = line.partition(" - ")
        folder = Path(point.split()[4].replace("\\040", " "))
        if place == folder or folder in place.parents:
            held[folder] = kind.split()[0]
    if not held:
        return None
    kind = held[max(held, key=lambda folder: len(folder.parts))]
    return kind if kind.startswith(_NETWORK) else None
