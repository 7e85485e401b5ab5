import shlex
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from scaler import load_study
from scaler.cli import main
from scaler.errors import InputError
from scaler.shipped import shipped
from scaler.submission import connect, entrypoint, needed_on_nodes, pack
from tests.conftest import TINY_STUDY


def test_what_is_packed_asks_the_same_question_elsewhere(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    (tiny / "tiny" / "mine.toml").write_text((shipped("search_spaces") / "resnet.toml").read_text())
    (tiny / "tiny" / "study.toml").write_text(TINY_STUDY.replace('space = "resnet"', 'space = "mine.toml"'))
    config = load_study("tiny")
    folder = tmp_path_factory.mktemp("packed")
    pack(config, folder)
    assert {file.name for file in folder.iterdir()} == {"tiny", "scaler"}
    assert [file.name for file in (folder / "tiny").iterdir()] == ["study.toml"]
    elsewhere = load_study(folder / "tiny")
    assert elsewhere == config
    code = "import scaler; print(scaler.__file__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(folder / "scaler" / "__init__.py")


def test_networks_to_start_from_are_packed_under_the_path_that_names_them(tiny: Path) -> None:
    with pytest.raises(SystemExit):
        main(["scale", "tiny", "--shares", "0.2,0.4,0.4", "--macs", "300K", "--to", "networks"])
    (network,) = (tiny / "networks").iterdir()
    config = load_study("tiny", {"search.warm_start": ["rules", f"networks/{network.name}"]})
    folder = tiny / "packed"
    folder.mkdir()
    pack(config, folder)
    rules, named = load_study(folder / "tiny").search.warm_start
    assert rules == "rules"
    assert (folder / named).read_bytes() == network.read_bytes()


def test_no_storage_is_packed(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = "postgresql+psycopg://me:hunter2@db/scaler"
    monkeypatch.setenv("SCALER_STORAGE", url)
    folder = tiny / "packed"
    folder.mkdir()
    pack(load_study("tiny", {"storage.url": url}), folder)
    assert "hunter2" not in (folder / "tiny" / "study.toml").read_text()


@pytest.mark.parametrize("folder", ["", "~/my results", "/shared/it's"])
def test_the_command_runs_where_the_results_are_to_be(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command as a shell takes it, with a `python` that says where it is and what it is given."""
    home, job, tools = tmp_path / "home", tmp_path / "job", tmp_path / "tools"
    for made in (home, job / "a study", tools):
        made.mkdir(parents=True)
    (job / "a study" / "study.toml").write_text("")
    (tools / "python").write_text('#!/bin/sh\npwd\necho "$PYTHONPATH"\nfor word; do echo "$word"; done\n')
    (tools / "python").chmod(0o755)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    folder = folder.replace("/shared", str(tmp_path / "shared"))
    command = entrypoint("a study", ["--trials", "3"], folder)
    done = subprocess.run(command, shell=True, cwd=job, capture_output=True, text=True, check=True)
    where, code, *words = done.stdout.splitlines()
    expected = Path((folder or "~/scaler").replace("~", str(home)))
    assert (Path(where), Path(code)) == (expected, job)
    assert (expected / "a study" / "study.toml").is_file()
    assert words[:5] == ["-u", "-m", "scaler", "search", "a study/study.toml"]
    assert words[-2:] == ["--trials", "3"]
    assert shlex.quote("a study") in command


def test_images_in_folders_are_said_to_be_needed(tiny: Path) -> None:
    assert needed_on_nodes(load_study("tiny")) is None
    assert needed_on_nodes(load_study("tiny", {"data.name": "folder:photos"})) == str(tiny / "photos")
    assert needed_on_nodes(load_study("tiny", {"data.name": "torch/mnist", "data.root": "/sets"})) == "/sets"


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("ray://head:10001", "address: ray://head:10001 is Ray Client's; give the dashboard's"),
        ("127.0.0.1:8265", "address: '127.0.0.1:8265' is no dashboard's; give one such as http://127.0.0.1:8265"),
        ("http://head:port", "address: 'http://head:port' is no dashboard's"),
        ("http://", "address: 'http://' is no dashboard's"),
        ("http://me:hunter2@head:8265", "address: it holds a user or password"),
    ],
)
def test_an_address_that_is_none_is_refused_with_the_remedy(address: str, message: str) -> None:
    with pytest.raises(InputError) as refused:
        connect(address)
    assert str(refused.value).startswith(message)
    assert "hunter2" not in str(refused.value)


def test_nobody_there_is_one_line() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(
            InputError, match=f"nothing answers at {address} \\(Connection refused\\); start the cluster"
        ):
            connect(address)


def test_what_is_no_ray_is_one_line() -> None:
    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"hello")

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with HTTPServer(("127.0.0.1", 0), Other) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        with pytest.raises(InputError, match=f"what answers at {address} is no Ray dashboard"):
            connect(address)
        server.shutdown()


def test_an_address_that_the_environment_would_override_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "http://other:8265")
    with pytest.raises(InputError, match="RAY_ADDRESS=http://other:8265 in the environment would win"):
        connect("http://127.0.0.1:8265")


def test_without_rays_job_submission_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    with pytest.raises(InputError, match=r"pip install 'scaler-nas\[cluster\]'"):
        connect("http://127.0.0.1:8265")
