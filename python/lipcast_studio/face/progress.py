"""How far the look for faces is, now and then."""

from __future__ import annotations

import time
from collections.abc import Callable

_SAY_EVERY_S = 15.0


def faces_progress(frames: int, say: Callable[[str], None]) -> Callable[[int], None]:
    """To be told how many of `frames` were looked at; says so every 15 s, with the time left."""
    began = said = time.monotonic()

    def progress(done: int) -> None:
        nonlocal said
        now = time.monotonic()
        if now - said >= _SAY_EVERY_S:
            say(f"faces: frame {done} of {frames}; {(now - began) / done * (frames - done):.0f} s left")
            said = now

    return progress
