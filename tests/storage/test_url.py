import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.engine import URL

from scaler.storage.url import normalised, redacted, scrubbed

PASSWORDS = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF), min_size=4).map(lambda text: f"<{text}>")


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_postgresql_is_spoken_to_through_psycopg(scheme: str) -> None:
    assert normalised(f"{scheme}://u:p@h/d?x=1") == "postgresql+psycopg://u:p@h/d?x=1"


@pytest.mark.parametrize("url", ["sqlite:///a.db", "postgresql+asyncpg://h/d", "nonsense"])
def test_other_urls_are_left_as_they_are(url: str) -> None:
    assert normalised(url) == url


@given(password=PASSWORDS)
def test_no_password_is_shown_in_whatever_part_of_the_url(password: str) -> None:
    for url in (
        URL.create("postgresql", "user", password, "host", 5432, "db").render_as_string(hide_password=False),
        URL.create("postgresql", host="host", query={"user": "me", "password": password}).render_as_string(False),
        URL.create("sqlite", database="a.db", query={"Password": password}).render_as_string(False),
        f"not a url://user:{password}@host",
    ):
        assert password not in redacted(url)
        told = scrubbed(f"cannot open {url}: user:{password}@host is wrong", url)
        assert password not in told
        assert url not in told


def test_the_rest_of_a_url_is_shown() -> None:
    url = "postgresql://user:hunter2@host:5432/db?sslmode=require&sslpassword=hunter3"
    shown = redacted(url)
    assert "hunter" not in shown
    assert shown.startswith("postgresql://user:***@host:5432/db?sslmode=require")
