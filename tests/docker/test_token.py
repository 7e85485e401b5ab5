"""A Ray head started as our files start theirs, on loopback: closed without the token, and `scaler submit` with it."""

import os
import secrets
import socket
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import optuna
import pytest
import yaml

SCRIPTS = Path(sysconfig.get_path("scripts"))
ROOT = Path(__file__).parents[2]
STORAGE = "SCALER_STORAGE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A running head: the address of its dashboard, the environment with its token, the home of its user."""

    address: str
    environment: dict[str, str]
    home: Path


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, beyond those that Ray gives its workers (10002 to 19999)."""
    taken = [socket.socket() for _ in range(count)]
    for one in taken:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in taken]
    for one in taken:
        one.close()
    return ports


def without_token(environment: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.startswith("RAY_AUTH")}


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    # Ray's sockets lie below its folder, and their paths may have about a hundred characters
    with tempfile.TemporaryDirectory(prefix="scaler-", dir="/tmp") as folder:
        home = Path(folder)
        token = home / "token"
        token.touch(mode=0o600)
        token.write_text(secrets.token_hex(32) + "\n")
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
            "HOME": folder,
            "PATH": f"{SCRIPTS}:{os.environ['PATH']}",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(token),
        }
        port, dashboard, agent, client = free_ports(4)
        options = [
            f"--port={port}",
            f"--dashboard-port={dashboard}",
            f"--dashboard-agent-listen-port={agent}",
            "--dashboard-host=127.0.0.1",
            "--node-ip-address=127.0.0.1",
            f"--ray-client-server-port={client}",
            f"--temp-dir={home / 'ray'}",
            "--num-cpus=2",
        ]
        log = (home / "log").open("w")
        started = subprocess.Popen(
            [*compose_start(), *options], env=environment, stdout=log, stderr=log, start_new_session=True, cwd=home
        )
        try:
            health = [SCRIPTS / "ray", "health-check", "--address", f"127.0.0.1:{port}"]
            deadline = time.monotonic() + 60
            while "Ray runtime started" not in (home / "log").read_text():
                assert started.poll() is None, (home / "log").read_text()
                assert time.monotonic() < deadline, (home / "log").read_text()
                time.sleep(0.2)
            subprocess.run(health, env=environment, check=True, timeout=60, capture_output=True)
            yield Head(address=f"http://127.0.0.1:{dashboard}", environment=environment, home=home)
        finally:
            started.terminate()  # --block ends what it started
            started.wait(timeout=30)
            log.close()


def compose_start() -> list[str]:
    """The start of the head in compose.yaml, less what this machine decides: addresses, ports, cores."""
    command = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())["services"]["ray-head"]["command"]
    assert command[:3] == ["ray", "start", "--head"]
    kept = [word for word in command[3:] if not word.startswith(("--port", "--dashboard", "--num-cpus"))]
    assert "--block" in kept
    return [str(SCRIPTS / "ray"), *command[1:3], *kept]


def test_a_job_without_the_token_is_refused(head: Head) -> None:
    def answer(token: str | None) -> int:
        job = Request(f"{head.address}/api/jobs/", b'{"entrypoint": "true"}', {"Content-Type": "application/json"})
        if token is not None:
            job.add_header("Authorization", f"Bearer {token}")
        try:
            with urlopen(job, timeout=30) as accepted:
                return int(accepted.status)
        except HTTPError as refused:
            refused.close()
            return refused.code

    assert answer(None) == 401
    assert answer(secrets.token_hex(32)) == 403
    assert answer((head.home / "token").read_text().strip()) == 200


def submit(head: Head, where: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [str(SCRIPTS / "python"), "-m", "scaler", "submit", *arguments, "--address", head.address]
    own = head.environment | {"PYTHONPATH": str(ROOT)} | environment
    own = own if environment.get("RAY_AUTH_MODE", "token") else without_token(own)
    return subprocess.run(command, cwd=where, env=own, capture_output=True, text=True, timeout=240)


def test_submit_says_which_token_is_wanting(head: Head, tiny: Path) -> None:
    refused = submit(head, tiny, "tiny", RAY_AUTH_MODE="")
    assert refused.returncode == 2
    assert refused.stderr.startswith(
        f"scaler: address: the cluster at {head.address} wants its token; set RAY_AUTH_MODE"
    )
    (tiny / "other").write_text(secrets.token_hex(32))
    refused = submit(head, tiny, "tiny", RAY_AUTH_TOKEN_PATH=str(tiny / "other"))
    assert refused.returncode == 2
    assert "does not take this token" in refused.stderr


_FOLLOW = """
import sys
from scaler import submission
client = submission.connect(sys.argv[1])
jobs = [client.submit_job(entrypoint=f"sh -c 'echo said {code}; exit {code}'") for code in (0, 2, 3)]
print([submission.follow(client, job, sys.stderr.write) for job in jobs])
"""


def test_the_exit_code_follows_the_job(head: Head, tmp_path: Path) -> None:
    done = subprocess.run(
        [str(SCRIPTS / "python"), "-c", _FOLLOW, head.address],
        cwd=tmp_path,
        env=head.environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.stdout == "[0, 2, 1]\n", done.stderr
    assert all(f"said {code}" in done.stderr for code in (0, 2, 3))


def test_a_study_is_searched_on_the_cluster(head: Head, tiny: Path) -> None:
    done = submit(head, tiny, "tiny", "--trials", "2", **{STORAGE: "postgresql+psycopg://me:hunter2@nowhere/scaler"})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2/2  accuracy" in done.stdout
    assert "best of 2 trials" in done.stdout
    assert not (tiny / "runs").exists()
    results = head.home / "scaler" / "runs" / "tiny"
    searched = optuna.load_study(study_name="tiny", storage=f"sqlite:///{results / 'study.db'}")
    assert [trial.state.name for trial in searched.trials] == ["COMPLETE", "COMPLETE"]
    assert len(list((results / "artifacts").iterdir())) >= 1
    logs = "".join(file.read_text(errors="replace") for file in (head.home / "ray").rglob("*.log"))
    assert "hunter2" not in done.stdout + done.stderr + logs
