"""What scaler raises when the user's input is wrong: the field, its value, the remedy, in one line."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """The user's input is wrong; the message is one line that says what to change. The command line exits with 2."""


def nearest(name: str, known: Iterable[str]) -> str:
    """`" (did you mean 'resnet'?)"` for the known name closest to `name`, or an empty string if none is close."""
    matches = difflib.get_close_matches(name.lower(), sorted(known), n=1)
    return f" (did you mean {matches[0]!r}?)" if matches else ""


def unknown(field: str, name: object, known: Iterable[str]) -> InputError:
    """The error for a name that is none of `known`."""
    names = sorted(known)
    return InputError(f"{field}: {name!r} is unknown{nearest(str(name), names)}; known: {', '.join(names)}")


class WorkError(Exception):
    """The input was right but the work did not succeed; the message is one line. The command line exits with 1."""
