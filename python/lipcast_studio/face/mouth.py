"""The seven values of a mouth, measured on the points of a face: what the networks are trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .boxes import head_scale, smooth
from .landmarks import Points

Floats = npt.NDArray[np.float64]

NAMES = ("open", "wide", "upper lip", "lower lip", "jaw", "upper thickness", "lower thickness")
LOSS_WEIGHTS = (2.5, 1.0, 1.0, 1.5, 1.0, 0.7, 0.7)
OPEN = 0
_NOSE, _CHIN = 2, 152
_INNER = ((13, 14), (82, 87), (312, 317))  # upper and lower rim of the opening
_SMALLEST_RANGE = 0.04  # in sizes of the head: less is noise of the landmarks
_STEADY_FRAMES = 0.5


def _distance(points: Points, a: int, b: int) -> Floats:
    return np.asarray(np.linalg.norm(points[:, a] - points[:, b], axis=1))


def measures(points: Points) -> Floats:
    """points [n,468,3] -> [n,7], lengths in sizes of the head. NaN where there are no points."""
    opening = np.mean([_distance(points, a, b) for a, b in _INNER], axis=0)
    columns = [
        opening, _distance(points, 61, 291), _distance(points, _NOSE, 0), _distance(points, _NOSE, 17),
        _distance(points, _NOSE, _CHIN), _distance(points, 0, 13), _distance(points, 14, 17),
    ]  # fmt: skip
    return np.asarray(smooth(np.stack(columns, 1) / head_scale(points)[:, None], _STEADY_FRAMES))


@dataclass(frozen=True)
class Scale:
    """What is 0 and what is 1 of each value, for one person: low and high [7] in sizes of the head."""

    low: Floats
    high: Floats

    def values(self, measured: Floats) -> npt.NDArray[np.float32]:
        """[n,7] -> 0..1."""
        return np.clip((measured - self.low) / (self.high - self.low), 0, 1).astype(np.float32)


def scale_of(measured: Floats) -> Scale:
    """From the 2nd to the 98th percentile of what a person does."""
    low, high = np.nanpercentile(measured, 2, axis=0), np.nanpercentile(measured, 98, axis=0)
    middle, half = (low + high) / 2, np.maximum(high - low, _SMALLEST_RANGE) / 2
    return Scale(middle - half, middle + half)


def rest_of(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The mouth in silence [7]: the middle of the tenth of the frames [n,7] that are open least."""
    closed = values[np.argsort(values[:, OPEN])[: max(1, len(values) // 10)]]
    return np.asarray(np.median(closed, axis=0), np.float32)
