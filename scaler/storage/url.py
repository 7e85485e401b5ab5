"""The URL of a storage: as SQLAlchemy takes it, and as it may be shown."""

import re

import sqlalchemy
from sqlalchemy.engine import URL, make_url

_HIDDEN = "***"
_SECRET = re.compile("pass|secret|token", re.IGNORECASE)
"""Names of URL parameters whose values are not shown."""
_LOOKS_SECRET = re.compile(r"://[^:/@]*:(.*)@")


def normalised(url: str) -> str:
    """The URL with the driver that scaler brings: psycopg 3 for PostgreSQL, under any of its usual names."""
    scheme, separator, rest = url.partition("://")
    return f"postgresql+psycopg{separator}{rest}" if scheme in ("postgres", "postgresql") else url


def parsed(url: str) -> URL | None:
    """The parts of a URL, None if it is none."""
    try:
        return make_url(url)
    except (sqlalchemy.exc.ArgumentError, ValueError):
        return None


def redacted(url: str) -> str:
    """The URL without its password, in whatever part that is; this alone may be shown, logged or written down."""
    parts = parsed(url)
    if parts is None:
        return "a text that is no URL"
    shown = {name: _HIDDEN if _SECRET.search(name) else value for name, value in parts.query.items()}
    return parts.set(query=shown).render_as_string(hide_password=True)


def scrubbed(text: str, url: str) -> str:
    """A text, such as a database's error, without the URL and without the password in it, however that is written."""
    text = text.replace(url, redacted(url))
    for secret in sorted(_secrets(url), key=len, reverse=True):
        text = text.replace(secret, _HIDDEN)
    return text


def _secrets(url: str) -> set[str]:
    parts = parsed(url)
    # As it was typed: percent-encoded, or in something that is no URL but was meant to be one.
    found = set(_LOOKS_SECRET.findall(url))
    if parts is not None:
        found.add(str(parts.password or ""))
        for name, value in parts.query.items():
            if _SECRET.search(name):
                found.update([value] if isinstance(value, str) else value)
        found.update(re.findall(rf"[?&][^=&]*(?:{_SECRET.pattern})[^=&]*=([^&]*)", url, re.IGNORECASE))
    return found - {""}
