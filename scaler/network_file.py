"""Networks in JSON files: `scaler scale --to` writes them, `scaler train --network` and a warm start read them."""

import json
from dataclasses import dataclass
from pathlib import Path

from scaler.architecture import Architecture
from scaler.errors import InputError
from scaler.families import from_dict
from scaler.scaling import Shares


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedNetwork:
    """A network, what it is called, and the rule that made it if one did."""

    name: str
    architecture: Architecture
    rule: Shares | None = None


def read_network(path: Path) -> NamedNetwork:
    """The network in a JSON file: an architecture's fields, alone or as `architecture` beside its `name` and `rule`.

    Raises `InputError` if the file cannot be read or holds no network.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"network: {path} cannot be read ({error.strerror}); scaler scale --to writes such") from None
    except ValueError:
        raise InputError(f"network: {path} is no JSON; scaler scale --to writes such files") from None
    if not isinstance(content, dict) or not isinstance(content.get("architecture", content), dict):
        raise InputError(f"network: {path} holds no architecture; scaler scale --to writes such files")
    rule = content.get("rule")
    if rule is not None and not (isinstance(rule, list) and len(rule) == 3):
        raise InputError(f"rule: {rule} is not three shares; leave it out, or write depth, width and resolution")
    return NamedNetwork(
        name=str(content.get("name", path.stem)),
        architecture=from_dict(content.get("architecture", content)),
        rule=Shares(*rule) if rule else None,
    )
