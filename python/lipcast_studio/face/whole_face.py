"""A box around the whole face, found in every frame: what Wav2Lip's networks were trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from .landmarks import FaceFinder, Picture
from .track import CUT_OFF, JUMP, NO_FACE, REASONS, SEVERAL_FACES, Track, follow, runs

Floats = npt.NDArray[np.float64]
Pads = tuple[int, int, int, int]  # pixels added above, below, left, right

WAV2LIP_PADS: Pads = (0, 10, 0, 0)
_SMOOTHED_FRAMES = 5
_LARGEST_CUT = 0.1  # of the face's width or height, outside the picture


def _mean_of_neighbours(boxes: Floats) -> Floats:
    """Each of [n,4] with the two before and the two behind it."""
    half = _SMOOTHED_FRAMES // 2
    return np.stack([boxes[max(0, i - half) : i + half + 1].mean(0) for i in range(len(boxes))])


def face_boxes(track: Track, pads: Pads) -> list[list[int] | str]:
    """For each frame x0, y0, x1, y1 of the points of its face, with pads and inside the picture, or why there is none.

    Smoothed over five frames, never over a gap or a cut.
    """
    status = track.status.copy()
    shown = np.isfinite(track.points).all((1, 2)) & ~np.isin(status, [NO_FACE, SEVERAL_FACES])
    corners = np.full((len(status), 4), np.nan)
    corners[shown] = np.concatenate([track.points[shown, :, :2].min(1), track.points[shown, :, :2].max(1)], 1)
    limit = np.array([track.width, track.height])
    outside = np.maximum(np.maximum(-corners[:, :2], corners[:, 2:] - limit), 0) / (corners[:, 2:] - corners[:, :2])
    cut = shown & (outside > _LARGEST_CUT).any(1)
    status[cut] = CUT_OFF
    shown &= ~cut
    for first, last in runs(shown):
        begins = [first, *(i for i in range(first + 1, last + 1) if status[i] == JUMP), last + 1]
        for begin, end in pairwise(begins):
            corners[begin:end] = _mean_of_neighbours(corners[begin:end])
    top, bottom, left, right = pads
    boxes = np.round(corners + (-left, -top, right, bottom))
    boxes = np.clip(boxes, 0, np.tile(limit, 2))
    return [[int(v) for v in boxes[i]] if shown[i] else REASONS[int(status[i])] for i in range(len(status))]


def find_face_boxes(frames: Iterable[Picture], count: int, size: tuple[int, int], pads: Pads, finder: FaceFinder,
                    progress: Callable[[int], None]) -> list[list[int] | str]:  # fmt: skip
    """face_boxes of `count` pictures of that width and height. progress is told how many were looked at."""
    return face_boxes(follow(frames, count, *size, finder, progress), pads)
