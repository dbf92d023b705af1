"""SIGINT and SIGTERM as a question: the work in hand is brought to a whole state, then the command ends with 130."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType

from ..errors import EXIT_INTERRUPTED, StudioError

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_ONE_WISH_S = 0.5  # a terminal and a parent may both pass on one Ctrl-C


class Interrupts:
    """Collects the signals while the block runs. One that comes more than half a second after the first ends the process."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._first_s = 0.0
        self._before = {number: signal.getsignal(number) for number in _SIGNALS}

    def asked(self) -> bool:
        """Whether one came."""
        return self._asked.is_set()

    def check(self, where: str) -> None:
        """StudioError if one came."""
        if self.asked():
            raise StudioError(f"stopped {where}; the same command goes on from there", EXIT_INTERRUPTED)

    @contextmanager
    def as_such(self) -> Iterator[None]:
        """A fault that a signal brought about (it ends ffmpeg, too) is told as an interruption."""
        try:
            yield
        except StudioError as error:
            if error.code != EXIT_INTERRUPTED:
                self.check("by a signal")
            raise

    def _note(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if not self.asked():
            self._first_s = now
            self._asked.set()
        elif now - self._first_s > _ONE_WISH_S:
            self._restore()
            signal.raise_signal(number)

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def __enter__(self) -> Interrupts:
        for number in _SIGNALS:
            signal.signal(number, self._note)
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._restore()


@contextmanager
def loading(what: str) -> Iterator[None]:
    """For a long import: a signal waits for its end, or ends it as a fault (PyTorch's loader makes one of Ctrl-C)."""
    with Interrupts() as interrupts:
        try:
            yield
        finally:
            if interrupts.asked():
                raise StudioError(f"stopped by a signal while {what} was loaded; nothing was begun", EXIT_INTERRUPTED) from None
