"""The live view, drawn by rich for a terminal of known size."""

import io

import pytest
from rich.console import Console

from scaler import load_study
from scaler.cli.progress import Progress
from scaler.evaluation import Result
from scaler.executors import Driver
from scaler.study import open_study
from scaler.workflow import domain_of

pytestmark = pytest.mark.usefixtures("tiny")


def console(width: int = 110) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)


def seen(progress: Progress, screen: Console) -> list[str]:
    """The lines that the live view shows now."""
    with screen.capture() as captured:
        screen.print(progress._view())
    return [line.rstrip() for line in captured.get().splitlines() if line.strip()]


def test_a_line_for_each_network_in_training_and_one_for_the_whole() -> None:
    config = load_study("tiny", {"search.trials": 5})
    screen = console()
    progress = Progress(5, 4, screen)
    driver = Driver(open_study(config), config, domain_of(config), progress)
    assert seen(progress, screen)[0].startswith("starting")
    jobs = [driver.ask() for _ in range(3)]
    for job in jobs:
        assert job is not None
        driver.begin(job)
    first, second, third = jobs
    driver.report(first, 1, 0.25)
    driver.report(first, 2, 0.5)
    driver.report(second, 3, 0.75)
    lines = seen(progress, screen)
    assert [line.split()[0] for line in lines] == ["#0", "#1", "#2", "0/5"]
    assert "epoch 2/4  accuracy 0.5000" in lines[0]
    assert "epoch 3/4  accuracy 0.7500" in lines[1]
    assert "epoch 0/4" in lines[2]
    assert "accuracy" not in lines[2]
    assert "no best yet" in lines[3]
    driver.tell(second, Result(accuracy=0.8125, epochs=4, train_seconds=2.5))
    driver.tell(first, Result(accuracy=0.75, epochs=4))
    driver.interrupt(third)
    lines = seen(progress, screen)
    assert len(lines) == 1
    assert "2/5 networks  best 0.8125 (#1)" in lines[0]
    assert "left" in lines[0]
    printed = screen.file.getvalue()
    assert "  1/5  accuracy 0.8125  best 0.8125 (#1)  " in printed
    assert "  2.5 s  tiny#1: " in printed
    assert "  2/5  accuracy 0.7500  best 0.8125 (#1)" in printed
    assert progress.evaluated == 2


def test_the_time_left_counts_what_is_half_done() -> None:
    config = load_study("tiny", {"search.trials": 4})
    screen = console()
    progress = Progress(4, 4, screen)
    driver = Driver(open_study(config), config, domain_of(config), progress)
    for _ in range(2):
        job = driver.ask()
        assert job is not None
        driver.begin(job)
        driver.report(job, 2, 0.5)
    progress._began -= 3600  # one network's worth of work in an hour, three left
    assert "about 3:00:0" in seen(progress, screen)[-1]


def test_a_death_is_told_and_narrow_terminals_keep_a_line_for_each() -> None:
    config = load_study("tiny", {"search.trials": 4})
    screen = console(width=50)
    progress = Progress(4, 4, screen)
    driver = Driver(open_study(config), config, domain_of(config), progress)
    job = driver.ask()
    assert job is not None
    driver.begin(job)
    driver.report(job, 2, 0.5)
    assert len(seen(progress, screen)) == 2
    driver.died(job, "worker died: signal 9")
    assert "worker died: signal 9; tiny#0 is queued again" in " ".join(screen.file.getvalue().split())


def test_without_a_number_of_networks_those_queued_are_counted() -> None:
    config = load_study("tiny")
    study = open_study(config, "confirm")
    job = Driver(open_study(config), config, domain_of(config)).ask()
    assert job is not None
    for _ in range(3):
        study.enqueue_trial({}, user_attrs=job.record.to_attributes())
    screen = console()
    progress = Progress(None, 4, screen)
    driver = Driver(study, config, observer=progress)
    queued = driver.ask()
    assert queued is not None
    driver.begin(queued)
    assert seen(progress, screen)[-1].startswith("0/3 networks")
    driver.tell(queued, Result(accuracy=0.5, epochs=4))
    assert "  1/3  accuracy 0.5000" in screen.file.getvalue()


def test_images_a_second_are_those_of_all_workers_together(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("scaler.cli.progress.time.monotonic", lambda: now)
    config = load_study("tiny", {"search.trials": 5})
    screen = console(200)
    progress = Progress(5, 2, screen)
    driver = Driver(open_study(config), config, domain_of(config), progress)
    first, second = driver.ask(), driver.ask()
    assert first is not None
    assert second is not None
    for job in (first, second):
        driver.begin(job)
        driver.report(job, 1, 0.5)
    now += 5
    driver.report(first, 2, 0.5)
    assert "images/s" not in seen(progress, screen)[-1]
    driver.tell(first, Result(accuracy=0.5, epochs=2, train_seconds=4.0, images_per_second=500.0))
    now += 5
    assert seen(progress, screen)[-1].endswith("  300 images/s")  # three epochs of 1,000 images in ten seconds
    now += 60
    assert "images/s" not in seen(progress, screen)[-1]
