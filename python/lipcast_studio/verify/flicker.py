"""What a network adds from frame to frame in silence: the largest of small windows of the mask, as an eye finds it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ..demo.measure import SIDE_PX
from ..engine import Bgr

WINDOW_PX = 16  # of SIDE_PX: half a mouth's height. Noise of single pixels cancels out, a patch at the lips does not
COUNTED = 95  # of 100 moments lie below what is found
Levels = npt.NDArray[np.float32]


def mask_part(generator: dict[str, Any]) -> tuple[slice, slice]:
    """Rows and columns of an inner picture [160,160] that the network draws."""
    mask, scale = generator["mask"], SIDE_PX / generator["inner_px"]
    x, y = mask["x"], mask["y"]
    rows, columns = (y, y + mask["height"]), (x, x + mask["width"])
    return slice(*(round(v * scale) for v in rows)), slice(*(round(v * scale) for v in columns))


def _unrest(before: Levels, now: Levels, after: Levels) -> Levels:
    """Levels by which each window [h,w] of a frame differs from the mean of the frames beside it: slow change has none."""
    pixels: Levels = np.abs(now - (before + after) / 2).mean(axis=2)
    windows: Levels = cv2.blur(pixels, (WINDOW_PX, WINDOW_PX)).astype(np.float32, copy=False)
    return windows


def unrest(drawn: Sequence[Bgr], source: Sequence[Bgr], part: tuple[slice, slice]) -> list[float]:
    """Levels of unrest in the worst window of `part`, beyond the source's own there, at each moment but the first and last.

    drawn, source: inner pictures [160,160,3] of the same frames. What moves in the source, and its noise, is no flicker.
    """

    def cut(pictures: Sequence[Bgr]) -> list[Levels]:
        return [picture[part].astype(np.float32) for picture in pictures]

    a, b = cut(drawn), cut(source)
    return [float((_unrest(*a[i : i + 3]) - _unrest(*b[i : i + 3])).max()) for i in range(len(a) - 2)]


def added(drawn: Sequence[Bgr], source: Sequence[Bgr], part: tuple[slice, slice]) -> float:
    """What 95 of 100 moments stay below; 0 where the network adds none."""
    found = unrest(drawn, source, part)
    return max(0.0, float(np.percentile(found, COUNTED))) if found else 0.0


def worst(drawn: Sequence[Bgr], source: Sequence[Bgr], part: tuple[slice, slice]) -> tuple[Bgr, Bgr]:
    """Two frames of `drawn`, one after the other, where it flickers most."""
    moment = int(np.argmax(unrest(drawn, source, part)))
    return drawn[moment], drawn[moment + 1]
