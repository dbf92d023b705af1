"""Whether the edge of what was redrawn shows: steps across it against those beside it, and against the source picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ..engine import Bgr

SIDES = ("top", "bottom", "left", "right")
_AT, _NEAR = (-1, 0, 1), (-5, -4, -3, 3, 4, 5)  # lines, counted from the edge inwards
MARGIN_PX = 6
Steps = npt.NDArray[np.float64]


def edges(box: Sequence[int], generator: dict[str, Any]) -> list[tuple[int, int, int, int]]:
    """Where a seam can be, in the frame: the box, the inner square, and the mask. Half-open rectangles."""
    x0, y0, x1, y1 = box
    inner, border, mask = generator["inner_px"], generator["border_px"], generator["mask"]
    side = inner + 2 * border
    found = []
    for left, top, width, height in (
        (0, 0, side, side),
        (border, border, inner, inner),
        (border + mask["x"], border + mask["y"], mask["width"], mask["height"]),
    ):
        columns = [x0 + round((x1 - x0) * v / side) for v in (left, left + width)]
        rows = [y0 + round((y1 - y0) * v / side) for v in (top, top + height)]
        rectangle = (columns[0], rows[0], columns[1], rows[1])
        if rectangle not in found:
            found.append(rectangle)
    return found


def _side(luma: npt.NDArray[np.int16], line: int, first: int, last: int) -> float:
    """Mean step onto row `line` of luma [h,w] from the row above, over columns first..last, less that of its neighbours."""

    def step(at: int) -> float:
        return float(np.abs(luma[at, first:last] - luma[at - 1, first:last]).mean())

    return max(step(line + k) for k in _AT) - float(np.mean([step(line + k) for k in _NEAR]))


def steps(frame: Bgr, rectangles: Sequence[tuple[int, int, int, int]]) -> Steps:
    """Levels [rectangles, 4] by which the step across each side exceeds the steps beside it; NaN at the picture's edge."""
    height, width = frame.shape[:2]
    x0, y0 = (max(0, min(r[i] for r in rectangles) - MARGIN_PX) for i in (0, 1))
    x1, y1 = (max(r[i] for r in rectangles) + MARGIN_PX for i in (2, 3))
    luma = cv2.cvtColor(frame[y0:y1, x0:x1], cv2.COLOR_BGR2GRAY).astype(np.int16)
    found = np.full((len(rectangles), 4), np.nan)
    for i, (left, top, right, bottom) in enumerate(rectangles):
        rows, columns = (left - x0, right - x0, height), (top - y0, bottom - y0, width)
        places = ((luma, top, y0, *rows), (luma, bottom, y0, *rows), (luma.T, left, x0, *columns), (luma.T, right, x0, *columns))
        for side, (plane, line, origin, first, last, size) in enumerate(places):
            if line >= MARGIN_PX and line + MARGIN_PX <= size and last > first:
                found[i, side] = _side(plane, line - origin, first, last)
    return found
