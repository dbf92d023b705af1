"""Where the face is in each frame, and which frames show none."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from .errors import EXIT_USAGE, StudioError
from .package_files import Box, read_json

_SHOWN_RUNS = 5
_LARGEST_PAD_PX = 1000


@dataclass
class Boxes:
    """One entry per frame, None where there is no usable face; `reasons` says why, by frame."""

    boxes: list[Box | None] = field(default_factory=list)
    reasons: dict[int, str] = field(default_factory=dict)
    source: str = ""

    def skipped(self, fps: Fraction) -> str:
        """ "3 frames stay untouched: 1-3, 0.04-0.16 s (no face)"; empty where every frame has a face."""
        runs: list[tuple[int, int, str]] = []
        for i, reason in sorted(self.reasons.items()):
            if runs and runs[-1][1:] == (i - 1, reason):
                runs[-1] = (runs[-1][0], i, reason)
            else:
                runs.append((i, i, reason))
        if not runs:
            return ""
        shown = []
        for first, last, reason in runs[:_SHOWN_RUNS]:
            begin, end = float(first / fps), float((last + 1) / fps)
            shown.append(f"{first}{f'-{last}' if last > first else ''}, {begin:.2f}-{end:.2f} s ({reason})")
        more = len(runs) - len(shown)
        count = len(self.reasons)
        start = f"{count} frames stay untouched: " if count > 1 else "1 frame stays untouched: "
        return start + "; ".join(shown) + (f"; and {more} more stretches" if more else "")


def check_boxes(found: Iterable[Any], width: int, height: int, source: str, where: Path) -> Boxes:
    """found: for each frame a box, or a text that says why there is none.

    StudioError, naming `where`, when no frame has a usable one.
    """
    result = Boxes(source=source)
    for i, box in enumerate(found):
        reason = box if isinstance(box, str) else box_fault(box, width, height)
        if reason:
            result.reasons[i] = reason
        result.boxes.append(None if reason else (int(box[0]), int(box[1]), int(box[2]), int(box[3])))
    if len(result.reasons) == len(result.boxes):
        raise StudioError(f"{where}: no frame has a usable face box; frame 0: {result.reasons[0]}")
    return result


def box_fault(box: Any, width: int, height: int) -> str:
    """Why that is no half-open box inside the picture; empty where it is one."""
    if box is None:
        return "no box"
    numbers = isinstance(box, list | tuple) and len(box) == 4 and all(isinstance(v, int | float) for v in box)
    if not numbers or not all(math.isfinite(v) for v in box):
        return "a box is not four numbers"
    x0, y0, x1, y1 = map(int, box)
    if x0 >= x1 or y0 >= y1:
        return f"box {x0},{y0},{x1},{y1} is empty"
    if x0 < 0 or y0 < 0 or x1 > width or y1 > height:
        return f"box {x0},{y0},{x1},{y1} leaves the {width}x{height} picture"
    return ""


def parse_box(text: str) -> Box:
    """--box X,Y,W,H -> (x0, y0, x1, y1)."""
    try:
        x, y, width, height = map(int, text.split(","))
    except ValueError:
        raise StudioError(f"--box '{text}': want X,Y,W,H, four whole numbers of pixels", EXIT_USAGE) from None
    return (x, y, x + width, y + height)


def parse_pads(text: str) -> tuple[int, int, int, int]:
    """--pads TOP,BOTTOM,LEFT,RIGHT, in pixels; less than 0 takes away."""
    try:
        top, bottom, left, right = map(int, text.split(","))
    except ValueError:
        raise StudioError(f"--pads '{text}': want TOP,BOTTOM,LEFT,RIGHT, four whole numbers of pixels", EXIT_USAGE) from None
    if max(map(abs, (top, bottom, left, right))) > _LARGEST_PAD_PX:
        raise StudioError(f"--pads '{text}': want -{_LARGEST_PAD_PX}..{_LARGEST_PAD_PX} pixels each", EXIT_USAGE)
    return top, bottom, left, right


def read_box_file(path: Path, count: int) -> list[Any]:
    """--boxes FILE: the package's boxes.json, or its list alone; `count` entries, null for a frame without a face."""
    try:
        found = read_json(path)
    except OSError as error:
        raise StudioError(f"{path}: {error.strerror}") from None
    if isinstance(found, dict):
        found = found.get("boxes")
    if not isinstance(found, list):
        raise StudioError(f'{path}: want {{"boxes": [[x0, y0, x1, y1] or null, ..]}}, one for each frame')
    if len(found) != count:
        raise StudioError(f"{path}: {len(found)} boxes, want {count}, one for each frame")
    return found
