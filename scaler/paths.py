"""Names from files and databases, joined to folders that they must not lead out of."""

from pathlib import Path, PurePosixPath, PureWindowsPath

from scaler.errors import InputError


def below(folder: Path, name: str, field: str) -> Path:
    """The path of `name` in a folder, there or not.

    Raises `InputError`, which names `field`, for a name that is absolute or has `..` in it.
    """
    leads_out = any(".." in kind(name).parts or kind(name).anchor for kind in (PurePosixPath, PureWindowsPath))
    if leads_out or "\0" in name or not PurePosixPath(name).parts:
        raise InputError(f"{field}: {name!r} leads out of {folder}; give the name of a file in it")
    return folder / name


def inside(folder: Path, name: str, field: str) -> Path:
    """As `below`, and refuses a link to somewhere outside the folder as well."""
    path = below(folder, name, field)
    if not path.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"{field}: {path} is a link out of {folder}; put the file itself there")
    return path
