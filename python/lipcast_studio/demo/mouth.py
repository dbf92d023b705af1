"""The mouth, painted from its seven values into a small patch of picture space (two samples per pixel)."""

from __future__ import annotations

import numpy as np

from .paint import SCALE
from .visemes import JAW, PRESS, ROUND, TEETH, TONGUE, TUCK, WIDE

MOUTH_X, MOUTH_Y = 640.0, 391.0
PATCH_X0, PATCH_Y0, PATCH_W, PATCH_H = 588, 360, 104, 84  # picture pixels

_columns, _rows = np.meshgrid(np.arange(PATCH_W * SCALE), np.arange(PATCH_H * SCALE))
_X = ((_columns + 0.5) / SCALE + PATCH_X0 - MOUTH_X).astype(np.float32)
_Y = ((_rows + 0.5) / SCALE + PATCH_Y0 - MOUTH_Y).astype(np.float32)


def _step(distance_px: np.ndarray, soft_px: float = 0.5) -> np.ndarray:
    return np.clip(distance_px / soft_px * 0.5 + 0.5, 0.0, 1.0)


def opening_px(values: np.ndarray) -> float:
    """Height of the gap between the lips."""
    jaw = values[JAW] * (1 - values[PRESS]) * (1 - 0.75 * values[TUCK])
    gap = 34 * jaw + 2.7 * values[ROUND] * (1 - values[PRESS])
    return float(max(gap, 4.6 * values[TEETH] * (1 - values[PRESS]), 3.6 * values[TUCK]))


def paint(values: np.ndarray) -> np.ndarray:
    """values [7] -> premultiplied BGRA uint8 [PATCH_H*2, PATCH_W*2, 4]."""
    v = np.clip(values, 0, 1).astype(np.float32)
    jaw = v[JAW] * (1 - v[PRESS]) * (1 - 0.75 * v[TUCK])
    gap = opening_px(v)
    half = 31 * (1 + 0.20 * v[WIDE] - 0.40 * v[ROUND] - 0.10 * jaw * (1 - v[WIDE]))
    thin = (1 - 0.32 * v[PRESS]) * (1 + 0.22 * v[ROUND]) * (1 - 0.10 * v[WIDE])
    upper_px = 7.6 * thin * (1 - 0.12 * jaw)
    lower_px = 9.9 * thin * (1 - 0.45 * v[TUCK]) * (1 - 0.10 * jaw)

    u = np.clip(_X / half, -1.0, 1.0)  # -1 and 1 at the corners
    inside = np.sqrt(np.maximum(0.0, 1 - u * u))
    corner = -3.0 * (1 + 0.5 * v[WIDE] - v[ROUND]) * u**2  # corners a little up: a friendly rest
    arch = inside ** (0.9 + 0.5 * (1 - jaw))
    inner_top = corner - 0.30 * gap * arch
    inner_low = corner + 0.70 * gap * inside**0.85
    bow = 1.0 + 0.20 * np.exp(-(((np.abs(u) - 0.24) / 0.17) ** 2)) - 0.16 * np.exp(-((u / 0.10) ** 2))
    outer_top = inner_top - upper_px * np.maximum(0.0, 1 - np.abs(u) ** 1.7) * bow
    outer_low = inner_low + lower_px * np.maximum(0.0, 1 - np.abs(u) ** 2.3)
    within = _step(half - np.abs(_X), 1.2)

    rgb = np.zeros((*_X.shape, 3), np.float32)
    cover = np.zeros(_X.shape, np.float32)

    def over(colour: object, mask: np.ndarray) -> None:
        nonlocal rgb, cover
        m = mask[..., None]
        rgb = np.asarray(colour, np.float32) * m + rgb * (1 - m)
        cover = mask + cover * (1 - mask)

    # soft shadow under the lower lip and folds beside a wide mouth
    below = np.exp(-0.5 * ((_X / (0.55 * half)) ** 2 + ((_Y - outer_low - 4.0) / 3.2) ** 2))
    over((176, 112, 92), 0.34 * below)
    fold = np.exp(-0.5 * (((np.abs(_X) - half - 5) / 2.6) ** 2 + ((_Y - 1) / 9.0) ** 2))
    over((184, 118, 98), (0.10 + 0.22 * v[WIDE]) * fold)
    dimple = np.exp(-0.5 * (((np.abs(_X) - half) / 3.0) ** 2 + ((_Y + 1.6) / 2.6) ** 2))
    over((168, 98, 84), 0.45 * dimple)

    # lips
    top_at = np.clip((_Y - outer_top) / np.maximum(inner_top - outer_top, 0.6), 0, 1)[..., None]
    low_at = np.clip((_Y - inner_low) / np.maximum(outer_low - inner_low, 0.6), 0, 1)[..., None]
    upper_colour = np.array((202, 112, 106)) * (1 - top_at) + np.array((172, 84, 86)) * top_at
    glance = np.exp(-0.5 * (((_X + 4) / (0.34 * half)) ** 2))[..., None]
    belly = np.exp(-(((low_at - 0.42) / 0.24) ** 2))
    lower_colour = np.array((190, 98, 98)) + np.array((34, 42, 38)) * belly * (0.35 + 0.65 * glance)
    lower_colour = lower_colour - np.array((20, 14, 12)) * low_at**3
    crease = 1 + 0.025 * np.sin(_X * 2.1 + 0.6 * np.sin(_X))[..., None]
    over(upper_colour * crease, _step(_Y - outer_top, 1.1) * _step(inner_top - _Y, 0.7) * within)
    over(np.clip(lower_colour, 0, 236) * crease, _step(outer_low - _Y, 1.3) * _step(_Y - inner_low, 0.7) * within)

    # between the lips
    open_mask = _step(_Y - inner_top, 0.6) * _step(inner_low - _Y, 0.6) * within * min(1.0, gap / 2.0)
    height = np.maximum(inner_low - inner_top, 0.5)
    depth = np.clip((_Y - inner_top) / height, 0, 1)[..., None]
    over(np.array((66, 22, 26)) * (0.65 + 0.5 * depth), open_mask)
    tongue_top = inner_low - (0.34 + 0.34 * v[TONGUE]) * gap - 1.5 * v[TONGUE] + 5.0 * (u / 0.75) ** 2
    tongue = _step(_Y - tongue_top, 2.2) * _step(0.78 - np.abs(u), 0.10) * open_mask * min(1.0, gap / 9.0)
    middle = np.exp(-((_X / 2.2) ** 2))[..., None]
    over(np.array((150, 60, 64)) - np.array((22, 10, 10)) * middle, tongue * (0.75 + 0.25 * v[TONGUE]))
    rows_closed = v[TEETH]
    band = min(0.48 * gap, 7.6) * (1 - 0.75 * v[ROUND]) + (0.5 * gap) * max(rows_closed, 0.9 * v[TUCK])
    band = min(band, 0.98 * gap)
    upper_edge = inner_top + band - 0.5 * np.cos(_X * np.pi / 7.4) ** 8 * min(1.0, gap / 10) * (1 - rows_closed) - 1.4 * u**2
    ivory = np.array((247, 242, 234)) * (1 - 0.16 * u**2)[..., None]
    gaps = 1 - 0.09 * np.exp(-((((np.abs(_X) + 3.7) % 7.4 - 3.7) / 0.6) ** 2))[..., None]
    under_lip = (0.86 + 0.14 * np.clip((_Y - inner_top) / 3.0, 0, 1))[..., None]
    upper_teeth = _step(upper_edge - _Y, 0.7) * _step(0.90 - np.abs(u), 0.07) * open_mask
    over(ivory * gaps * under_lip, upper_teeth)
    if rows_closed > 0.02 or gap > 20:
        lower_band = 0.42 * gap * rows_closed + 0.10 * max(0.0, gap - 20)
        lower_edge = inner_low - lower_band + 1.2 * u**2
        lower_teeth = _step(_Y - lower_edge, 0.7) * _step(0.78 - np.abs(u), 0.08) * open_mask * (1 - upper_teeth)
        over(ivory * 0.93 * gaps, lower_teeth * min(1.0, lower_band / 1.2))
        over(
            (120, 60, 56),
            0.45 * np.exp(-(((_Y - upper_edge) / 0.6) ** 2)) * open_mask * rows_closed * _step(0.8 - np.abs(u), 0.1),
        )
    over((44, 14, 18), 0.42 * np.exp(-np.maximum(0, _Y - inner_top) / 2.2) * open_mask * (1 - 0.6 * upper_teeth))

    # the line where closed lips meet
    line = np.exp(-(((_Y - corner + 0.9 * np.exp(-((u / 0.16) ** 2))) / (0.95 - 0.25 * v[PRESS])) ** 2))
    line = line * _step(half + 0.5 - np.abs(_X), 2.0) * np.clip(1 - gap / 2.4, 0, 1)
    over((104, 46, 50), 0.88 * line)
    bgra = np.dstack([rgb[..., ::-1], cover * 255])
    return np.round(np.clip(bgra, 0, 255)).astype(np.uint8)
