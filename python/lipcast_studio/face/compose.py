"""One frame's mouth on another's face: how a recording, which shows each pose with one mouth only, gives pairs."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from .boxes import RIGID
from .landmarks import Picture

Floats = npt.NDArray[np.float64]

# Below the nose, along the cheeks and around the jaw.
_LOWER_FACE = [2, 98, 205, 187, 147, 213, 192, 214, 210, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397,
               430, 434, 416, 433, 376, 411, 425, 327]  # fmt: skip
_GROW_SHARE, _FEATHER_SHARE = 0.03, 0.02  # of the picture's side


def similarity(source: Floats, target: Floats) -> Floats:
    """The turn, size and shift [2,3] that bring points [m,2] onto others best (least squares)."""
    a, b = source - source.mean(0), target - target.mean(0)
    power = float((a * a).sum())
    turn = np.array([float((a * b).sum()), float((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum())]) / max(power, 1e-9)
    linear = np.array([[turn[0], -turn[1]], [turn[1], turn[0]]])
    return np.concatenate([linear, (target.mean(0) - linear @ source.mean(0))[:, None]], 1)


def with_mouth_of(picture: Picture, points: Floats, other: Picture, other_points: Floats) -> Picture:
    """Inner pictures [S,S,3] and their points [468,2]: the first with the second's lower face, softly joined."""
    side = len(picture)
    matrix = similarity(other_points[RIGID], points[RIGID])
    moved = cv2.warpAffine(other, matrix, (side, side), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    there = other_points[_LOWER_FACE] @ matrix[:, :2].T + matrix[:, 2]
    outline = cv2.convexHull(np.concatenate([points[_LOWER_FACE], there]).astype(np.float32))
    mask = np.zeros((side, side), np.uint8)
    cv2.fillConvexPoly(mask, np.round(outline).astype(np.int32), (255,))
    grow = 2 * round(_GROW_SHARE * side) + 1
    grown = cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (grow, grow)))
    share = cv2.GaussianBlur(grown, (0, 0), _FEATHER_SHARE * side).astype(np.float32)[..., None] / 255
    return np.asarray(np.round(picture * (1 - share) + moved * share), np.uint8)
