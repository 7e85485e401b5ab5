import signal
import threading
from collections.abc import Iterator

import pytest

from scaler.executors.interrupts import Interrupts


@pytest.fixture(autouse=True)
def _as_in_a_terminal() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_waits_for_a_safe_moment() -> None:
    steps = []

    def scenario() -> None:
        with Interrupts() as interrupts:
            assert not interrupts.pending
            signal.raise_signal(signal.SIGINT)
            assert interrupts.pending
            steps.append("recorded")
            with interrupts.allowed():
                steps.append("never")

    with pytest.raises(KeyboardInterrupt):
        scenario()
    assert steps == ["recorded"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupt_at_a_safe_moment_comes_at_once() -> None:
    steps = []

    def scenario() -> None:
        with Interrupts() as interrupts, interrupts.allowed():
            signal.raise_signal(signal.SIGINT)
            steps.append("never")

    with pytest.raises(KeyboardInterrupt):
        scenario()
    assert steps == []


def test_an_interrupt_is_held_back_within_a_safe_moment() -> None:
    steps = []

    def scenario() -> None:
        with Interrupts() as interrupts, interrupts.allowed():
            with interrupts.allowed(False):
                signal.raise_signal(signal.SIGINT)
                steps.append("reported")
            steps.append("never")

    with pytest.raises(KeyboardInterrupt):
        scenario()
    assert steps == ["reported"]


def test_an_interrupt_that_never_found_a_safe_moment_comes_at_the_end() -> None:
    steps = []

    def scenario() -> None:
        with Interrupts():
            signal.raise_signal(signal.SIGINT)
            steps.append("finished")

    with pytest.raises(KeyboardInterrupt):
        scenario()
    assert steps == ["finished"]


def test_an_ignored_interrupt_stays_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Interrupts() as interrupts, interrupts.allowed():
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_other_threads_are_left_alone() -> None:
    done = []

    def enter() -> None:
        with Interrupts() as interrupts, interrupts.allowed():
            done.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert done == [signal.default_int_handler]
