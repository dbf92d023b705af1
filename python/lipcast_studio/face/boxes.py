"""The square that is redrawn, in every frame: it follows the head, not the jaw, and moves smoothly."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .landmarks import Points
from .track import CUT_OFF, USABLE, Track, runs

Floats = npt.NDArray[np.float64]
Box = tuple[int, int, int, int]

RIGID = [33, 133, 263, 362, 168, 6, 197, 195, 5, 4, 129, 358]  # eye corners and nose: no speech moves them
LOWER_LIDS, NOSE_TIP, CHIN = [145, 374], 4, 152
_CHIN_AT = 0.86  # of the box's height, with the jaw as low as it goes: inside the mask
_MOVE_FRAMES, _GROW_FRAMES = 2.0, 10.0  # smoothing in time, standard deviations


def head_scale(points: Points) -> Floats:
    """Size of the head [n] in pixels: the spread of the rigid points in space, so turning does not change it."""
    rigid = points[:, RIGID]
    return np.asarray(np.sqrt(((rigid - rigid.mean(1, keepdims=True)) ** 2).sum(2).mean(1)))


def smooth(values: Floats, frames: float) -> Floats:
    """Gaussian in time over [n, ...]; NaN rows take no part and stay NaN."""
    reach = int(np.ceil(3 * frames))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / frames) ** 2)
    flat = values.reshape(len(values), -1)
    known = np.isfinite(flat).all(1)
    filled = np.where(known[:, None], flat, 0)
    total = np.convolve(known.astype(float), kernel, "same") if len(known) >= len(kernel) else _same(known, kernel)
    out = np.stack([_same(column, kernel) for column in filled.T], 1) / np.maximum(total, 1e-9)[:, None]
    out[~known] = np.nan
    return np.asarray(out.reshape(values.shape))


def _same(track: npt.NDArray[np.float64] | npt.NDArray[np.bool_], kernel: Floats) -> Floats:
    reach = len(kernel) // 2
    return np.convolve(np.asarray(track, float), kernel)[reach : reach + len(track)]


def box_track(track: Track) -> list[Box | None]:
    """A box for every usable frame; frames whose box would leave the picture become CUT_OFF in the track."""
    usable = track.usable
    if not usable.any():
        return [None] * len(usable)
    points = np.where(usable[:, None, None], track.points, np.nan)
    scale = head_scale(points)
    anchor = points[:, RIGID, :2].mean(1)
    for first, last in runs(usable):  # smoothed within a run, so that a gap draws nothing over
        part = slice(first, last + 1)
        scale[part] = smooth(scale[part, None], _GROW_FRAMES)[:, 0]
        anchor[part] = smooth(anchor[part], _MOVE_FRAMES)
    relative = (points[:, :, :2] - anchor[:, None]) / scale[:, None, None]
    lids = np.nanmedian(relative[:, LOWER_LIDS, 1])
    top = lids + 0.3 * (np.nanmedian(relative[:, NOSE_TIP, 1]) - lids)
    side = (np.nanpercentile(relative[:, CHIN, 1], 98) - top) / _CHIN_AT
    left = np.nanmedian(relative[:, [61, 291, CHIN], 0]) - side / 2
    out: list[Box | None] = [None] * len(usable)
    for i in np.flatnonzero(usable):
        x0, y0 = (int(v) for v in np.round(anchor[i] + np.array([left, top]) * scale[i]))
        length = round(float(side * scale[i]))
        if x0 < 0 or y0 < 0 or x0 + length > track.width or y0 + length > track.height or length < 32:
            track.status[i] = CUT_OFF
        else:
            out[i] = (x0, y0, x0 + length, y0 + length)
    return [box if track.status[i] == USABLE else None for i, box in enumerate(out)]


def in_inner(points: Points, box: Box, inner_px: int) -> Floats:
    """Points [m,2+] of the frame -> [m,2] in the inner picture of its box."""
    side = inner_px + 8
    place = (points[:, :2] + 0.5 - np.array(box[:2])) * side / (box[2] - box[0]) - 0.5
    return np.asarray(place - 4)
