"""How open a mouth is in a picture of the demo avatar, and how well two openings agree. numpy and OpenCV only.

The one place of the lip-sync truth measure: the same function is applied to truth pictures and to the engine's.
It counts pixels by colour, so it belongs to this avatar; its thresholds follow `mouth.py`.
"""

from __future__ import annotations

import cv2
import numpy as np

FPS = 25
ROWS = slice(28, 100)
COLUMNS = slice(36, 124)
REST_AREA_PX = 35.0  # the dark line of a closed mouth also counts
CLOSED_AREA_PX = 75.0  # up to here a mouth is closed, any pose of the loop, through H.264
PRESSED = 0.7  # true `press` from which m, b, p must show closed lips


def inner_picture(frame: np.ndarray, box: tuple[int, int, int, int] | list[int]) -> np.ndarray:
    """Frame [H,W,3] uint8 BGR and its half-open box -> inner picture [160,160,3]: cubic to 168, border of 4 off."""
    x0, y0, x1, y1 = box
    return cv2.resize(frame[y0:y1, x0:x1], (168, 168), interpolation=cv2.INTER_CUBIC)[4:164, 4:164]


def opening_area(inner: np.ndarray) -> int:
    """Pixels of cavity and teeth between the lips in an inner picture [160,160,3] uint8 BGR."""
    part = inner[ROWS, COLUMNS].astype(np.int16)
    blue, green, red = part[..., 0], part[..., 1], part[..., 2]
    cavity = (red < 150) & (green < 62)
    teeth = (blue > 185) & (green > 185)
    return int(np.count_nonzero(cavity | teeth))


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's r of two tracks [n]; 0 where one of them does not move."""
    a, b = np.asarray(a, float) - np.mean(a), np.asarray(b, float) - np.mean(b)
    scale = np.sqrt((a * a).sum() * (b * b).sum())
    return float((a * b).sum() / scale) if scale > 0 else 0.0


def lagged_correlation(output: np.ndarray, truth: np.ndarray, lag: int) -> float:
    """r of output[i + lag] with truth[i]: a positive lag means that the output is late."""
    n = min(len(output), len(truth))
    first, last = max(0, -lag), min(n, n - lag)
    return correlation(np.asarray(output)[first + lag : last + lag], np.asarray(truth)[first:last])


def best_lag(output: np.ndarray, truth: np.ndarray, reach: int = 10) -> int:
    """The lag in frames, -reach..reach, at which output follows truth best."""
    lags = range(-reach, reach + 1)
    return max(lags, key=lambda lag: lagged_correlation(output, truth, lag))


def closed_share(area: np.ndarray, press: np.ndarray, limit_px: float = CLOSED_AREA_PX) -> float:
    """Share of the frames with true press > PRESSED whose mouth is closed; 1 if there is none."""
    pressed = np.asarray(press[: len(area)]) > PRESSED
    return float((np.asarray(area)[pressed] <= limit_px).mean()) if pressed.any() else 1.0


def pressed_runs_closed(area: np.ndarray, press: np.ndarray, limit_px: float = CLOSED_AREA_PX) -> float:
    """Share of the m, b, p (runs of pressed frames) that show at least one closed frame."""
    pressed = np.concatenate([[False], np.asarray(press[: len(area)]) > PRESSED, [False]])
    starts, ends = np.flatnonzero(np.diff(pressed.astype(int)) == 1), np.flatnonzero(np.diff(pressed.astype(int)) == -1)
    hits = [min(area[a:b]) <= limit_px for a, b in zip(starts, ends, strict=True)]
    return float(np.mean(hits)) if hits else 1.0


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Decibels between two uint8 pictures, inside the engine's mask of the inner picture."""
    error = a[5:150, 5:155].astype(float) - b[5:150, 5:155].astype(float)
    return float(10 * np.log10(255.0**2 / max(1e-9, (error**2).mean())))
