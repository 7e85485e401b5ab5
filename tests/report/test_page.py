"""The report in a real browser: it sorts, filters, shows what is pointed at, prints, and asks nobody for anything."""

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

import scaler
from scaler.cli import main
from scaler.study import open_study
from tests.bench.board import fill
from tests.board.test_table import SCRIPT, small_study
from tests.conftest import FULL
from tests.planted_study import planted_study


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        opened = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the quickstart, searched for real; fewer networks and epochs unless the full counts are on."""
    folder = tmp_path_factory.mktemp("quickstart")
    with contextlib.chdir(folder):
        smaller = {} if FULL else {"search.trials": 10, "recipe.epochs": 2}
        config = scaler.load_study("quickstart", smaller)
        scaler.search(config)
        scaler.baselines(config)
        assert command("report", "quickstart", "--to", "report.html") == 0
    return folder / "report.html"


def command(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    return int(end.value.code or 0)


class Opened:
    """A page and what it said and asked for."""

    def __init__(self, browser: Browser, file: Path, **options: object) -> None:
        self.page: Page = browser.new_page(**options)
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(file.as_uri())
        self.page.wait_for_selector("#board_wrapper tbody tr")
        self.page.wait_for_selector(".js-plotly-plot .main-svg")

    def column(self, name: str) -> list[str]:
        """The column's cells as they stand in the table."""
        names = [text.strip() for text in self.page.locator("#board thead th").all_inner_texts()]
        return self.page.locator(f"#board tbody tr td:nth-child({names.index(name) + 1})").all_inner_texts()


def test_the_quickstarts_report_works_in_a_browser(browser: Browser, quickstart: Path, tmp_path: Path) -> None:
    assert quickstart.stat().st_size < 8e6
    opened = Opened(browser, quickstart)
    page = opened.page
    assert "How should 3M macs of resnet be split" in page.inner_text(".answer")

    page.locator("#board thead th").filter(has_text=re.compile("^macs$")).click()
    macs = [int(text.replace(",", "")) for text in opened.column("macs")]
    assert macs == sorted(macs)
    assert len(macs) > 30
    page.locator(".filters select[data-column=family]").select_option("resnet")
    page.wait_for_function("document.querySelector('#board tbody').innerText.indexOf('vgg') < 0")
    assert set(opened.column("family")) == {"resnet"}
    page.locator(".filters select[data-column=source]").select_option("rule")
    page.wait_for_function("document.querySelectorAll('#board tbody tr').length == 6")
    assert set(opened.column("source")) == {"rule"}

    triangle = page.locator("section[id^=triangle-]")
    assert triangle.count() == 1
    assert "Triangle of all splits of 3M MACs" in str(triangle.locator("[role=img]").get_attribute("aria-label"))
    triangle.locator(".scatterlayer .trace").last.scroll_into_view_if_needed()
    star = triangle.locator(".scatterlayer .trace .point").last.bounding_box()
    assert star is not None
    page.mouse.move(star["x"] + star["width"] / 2, star["y"] + star["height"] / 2)
    triangle.locator(".hovertext").wait_for()
    assert "best split: depth" in str(triangle.locator(".hoverlayer").text_content())

    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement !== document.body")
    printed = page.pdf(path=tmp_path / "report.pdf")
    assert len(printed) > 50_000
    assert opened.said == []
    assert [url for url in opened.asked if not url.startswith(("file:", "blob:", "data:"))] == []
    assert [url for url in opened.asked if url.startswith("file:")] == [quickstart.as_uri()]


@pytest.mark.parametrize("options", [{"viewport": {"width": 390, "height": 800}}, {"color_scheme": "dark"}])
def test_it_can_be_read_on_a_phone_and_in_the_dark(browser: Browser, quickstart: Path, options: dict) -> None:
    opened = Opened(browser, quickstart, **options)
    page = opened.page
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    paper, ink = (page.evaluate(f"getComputedStyle(document.body).{name}") for name in ("backgroundColor", "color"))
    light, dark = (sum(map(int, value[4:-1].split(","))) for value in (paper, ink))
    assert (light < dark) == ("color_scheme" in options)
    assert abs(light - dark) > 500
    assert opened.said == []


@pytest.mark.usefixtures("tiny")
def test_names_are_text_on_the_page(browser: Browser) -> None:
    config = small_study("first", {"depth": 0.8, "width": 0.9, "resolution": 0.7})
    study = open_study(config)
    trial = study.ask()
    for name, value in study.trials[0].user_attrs.items():
        trial.set_user_attr(name, value)
    trial.set_user_attr("model", SCRIPT)
    trial.set_user_attr("device", SCRIPT)
    trial.report(0.95, 1)
    study.tell(trial, 0.95)
    assert command("report", "first", "--to", "report.html") == 0
    opened = Opened(browser, Path.cwd() / "report.html")
    said: list[str] = []
    opened.page.on("dialog", lambda dialog: said.append(dialog.message))
    assert SCRIPT in opened.column("model")
    assert SCRIPT in opened.page.inner_text(".answer")
    assert SCRIPT in opened.page.inner_text("#origin")
    assert opened.page.locator("main script:text('alert')").count() == 0
    assert opened.said == said == []


@pytest.mark.usefixtures("tiny")
def test_thousands_of_networks_are_no_heavy_page(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(Path.cwd() / "cache"))
    fill(scaler.load_study("tiny", {"name": "many"}), 4000)
    assert command("report", "many", "--to", "report.html") == 0
    file = Path.cwd() / "report.html"
    assert file.stat().st_size < 7e6
    opened = Opened(browser, file)
    assert "400 networks of lower ranks are left out here" in opened.page.inner_text("#leaderboard")
    assert len(opened.column("model")) == 50
    assert opened.said == []


@pytest.mark.usefixtures("tiny")
def test_single_pictures_and_what_is_no_picture(capsys: pytest.CaptureFixture[str]) -> None:
    planted_study(Path.cwd(), "400K")
    assert command("report", "tiny400K", "--plot", "triangle", "--to", "triangle.svg") == 0
    assert "resolution" in Path("triangle.svg").read_text()
    small_study("first", {"depth": 0.8, "width": 0.9})
    assert command("report", "first", "--plot", "front", "--to", "front.png") == 0
    assert Path("front.png").read_bytes().startswith(b"\x89PNG")
    capsys.readouterr()
    for arguments, message in (
        (("--plot", "triangl", "--to", "x.png"), "plot: 'triangl' is unknown (did you mean 'triangle'?)"),
        (("--plot", "front", "--to", "x.gif"), "to: x.gif is no picture; give a file that ends in .png, .svg, .pdf"),
        (("--plot", "law", "--to", "x.png"), "plot: these studies have no law"),
        (("--to", "nowhere/x.html"), "to: there is no folder nowhere"),
    ):
        assert command("report", "tiny400K", *arguments) == 2
        errors = capsys.readouterr().err
        assert message in errors
        assert errors.count("\n") == 1
