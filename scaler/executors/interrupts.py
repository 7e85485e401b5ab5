"""Ctrl-C at safe moments only."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Self


class Interrupts:
    """While entered, holds Ctrl-C back except within `allowed()`, so that it never cuts the record of a trial in two.

    One that came meanwhile takes effect at the next safe moment. Python interrupts the main thread alone; in other
    threads, and where somebody else handles or ignores the signal, this changes nothing.
    """

    def __init__(self) -> None:
        self._allowed = False
        self._pending = False
        self._installed = False

    def __enter__(self) -> Self:
        in_main = threading.current_thread() is threading.main_thread()
        if in_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._handle)
            self._installed = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._installed:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            if self._pending and error is None:
                raise KeyboardInterrupt

    @property
    def pending(self) -> bool:
        """Whether one has come that is held back still."""
        return self._pending

    @contextmanager
    def allowed(self, value: bool = True) -> Iterator[None]:
        """Lets Ctrl-C through, or with False holds it back again within."""
        before = self._allowed
        try:
            self._set(value)
            yield
        finally:
            self._set(before)

    def _set(self, value: bool) -> None:
        self._allowed = value
        if self._allowed and self._pending:
            self._pending = False
            raise KeyboardInterrupt

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._allowed:
            raise KeyboardInterrupt
        self._pending = True
