"""How open a mouth is in a picture. numpy and OpenCV only; how well two openings agree: training/agreement.py.

The one place of the measures of pictures. `opening_area` is applied to truth pictures and to the engine's alike: it counts
pixels by colour, so it belongs to the demo avatar, and its thresholds follow `mouth.py`. `opening_change` and `dark_area`
know no colours and serve any avatar.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ..training import picture

Bgr = npt.NDArray[np.uint8]
Track = npt.NDArray[Any]

FPS = 25
MEL_FPS = 80
SIDE_PX = 160  # of the pictures that are measured
ROWS = slice(28, 100)
COLUMNS = slice(36, 124)
REST_AREA_PX = 35.0  # the dark line of a closed mouth also counts
CLOSED_AREA_PX = 75.0  # up to here a mouth is closed, any pose of the loop, through H.264
PRESSED = 0.7  # true `press` from which m, b, p must show closed lips


def inner_picture(frame: Bgr, box: Sequence[int], inner_px: int = SIDE_PX, border_px: int = picture.BORDER_PX) -> Bgr:
    """Frame [H,W,3] uint8 BGR and its half-open box -> what the network sees of it, at 160 px: [160,160,3]."""
    inner = picture.inner_picture(frame, box, inner_px, border_px)
    if inner_px == SIDE_PX:
        return inner
    how = cv2.INTER_AREA if inner_px > SIDE_PX else cv2.INTER_LINEAR
    return cv2.resize(inner, (SIDE_PX, SIDE_PX), interpolation=how).astype(np.uint8, copy=False)


def mouth_window(mask: Mapping[str, int], inner_px: int) -> tuple[slice, slice]:
    """Rows and columns of an inner picture [160,160] where the mouth is: the middle of the avatar's mask.

    The shares are those of ROWS and COLUMNS in SyncTalk's mask; Wav2Lip's lower half holds the mouth there, too.
    """

    def part(low: int, size: int, first: int, last: int, of: int) -> slice:
        scale = SIDE_PX / inner_px
        return slice(round((low + size * (first - 5) / of) * scale), round((low + size * (last - 5) / of) * scale))

    rows = part(mask["y"], mask["height"], ROWS.start, ROWS.stop, 145)
    return rows, part(mask["x"], mask["width"], COLUMNS.start, COLUMNS.stop, 150)


def opening_change(mouth: Bgr, closed: Bgr) -> float:
    """Mean change of luma, in levels, of a mouth window [h,w,3] against the closed mouth on the same avatar frame."""
    a, b = (cv2.cvtColor(p, cv2.COLOR_BGR2GRAY).astype(np.int16) for p in (mouth, closed))
    return float(np.abs(a - b).mean())


def dark_area(mouth: Bgr, skin: float) -> int:
    """Pixels of a mouth window [h,w,3] that are far darker in green than the skin: the cavity, and what is always dark."""
    return int(np.count_nonzero(mouth[..., 1] < 0.4 * skin))


def loudness(mel: Track, count: int, fps: float = FPS) -> Track:
    """Log-mel [T,80] as the network hears it -> its mean for each of `count` frames, smoothed over three [count]."""
    edges = np.minimum((np.arange(count + 1) * MEL_FPS / fps).astype(int), len(mel) - 1)
    level = mel.mean(axis=1)
    track = np.array([level[a : max(a + 1, b)].mean() for a, b in pairwise(edges)])
    return np.convolve(np.pad(track, 1, mode="edge"), np.ones(3) / 3, "valid") if count else track


def opening_area(inner: Bgr) -> int:
    """Pixels of cavity and teeth between the lips in an inner picture [160,160,3] uint8 BGR."""
    part = inner[ROWS, COLUMNS].astype(np.int16)
    blue, green, red = part[..., 0], part[..., 1], part[..., 2]
    cavity = (red < 150) & (green < 62)
    teeth = (blue > 185) & (green > 185)
    return int(np.count_nonzero(cavity | teeth))


def closed_share(area: Track, press: Track, limit_px: float = CLOSED_AREA_PX) -> float:
    """Share of the frames with true press > PRESSED whose mouth is closed; 1 if there is none."""
    pressed = np.asarray(press[: len(area)]) > PRESSED
    return float((np.asarray(area)[pressed] <= limit_px).mean()) if pressed.any() else 1.0


def pressed_runs_closed(area: Track, press: Track, limit_px: float = CLOSED_AREA_PX) -> float:
    """Share of the m, b, p (runs of pressed frames) that show at least one closed frame."""
    pressed = np.concatenate([[False], np.asarray(press[: len(area)]) > PRESSED, [False]])
    starts, ends = np.flatnonzero(np.diff(pressed.astype(int)) == 1), np.flatnonzero(np.diff(pressed.astype(int)) == -1)
    hits = [min(area[a:b]) <= limit_px for a, b in zip(starts, ends, strict=True)]
    return float(np.mean(hits)) if hits else 1.0
