"""The dashboard as a process of its own, on loopback."""

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import pytest

from scaler.cli import main
from tests.board.test_table import small_study


@pytest.mark.usefixtures("tiny")
def test_the_dashboard_shows_the_study_on_this_machine_and_ends_with_ctrl_c() -> None:
    small_study("first", {"depth": 0.8, "width": 0.9})
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "scaler", "dashboard", "first", "--port", str(port)]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert f"http://127.0.0.1:{port}/dashboard/studies/" in line
            end = time.monotonic() + 60
            while True:
                try:
                    with urlopen(f"http://127.0.0.1:{port}/api/studies", timeout=5) as answer:
                        studies = json.load(answer)["study_summaries"]
                    break
                except OSError:
                    assert time.monotonic() < end, "nothing answers"
                    time.sleep(0.2)
            assert [study["study_name"] for study in studies] == ["first"]
            with socket.create_connection(("127.0.0.1", port)) as asking:
                asking.sendall(b"GET /api/stud")  # the server waits for the rest
                time.sleep(1)
                process.send_signal(signal.SIGINT)
                assert process.wait(60) == 130
        finally:
            process.kill()


@pytest.mark.usefixtures("tiny")
def test_a_port_in_use_and_a_study_without_results_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    small_study("first", {"depth": 0.8})
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for arguments, message in (
            (["first", "--port", str(port)], f"port: {port} cannot be used"),
            (["tiny"], "study: tiny has no results"),
        ):
            with pytest.raises(SystemExit) as end:
                main(["dashboard", *arguments])
            assert end.value.code == 2
            assert message in capsys.readouterr().err
    assert not Path("runs/tiny").exists()
