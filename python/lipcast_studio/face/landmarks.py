"""Face detection and the 468 points of a face, by MediaPipe's models run in OpenCV.

The models are files inside the wheel `mediapipe` (Apache-2.0), of which nothing else is used: no code of it runs.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import EXIT_UNAVAILABLE, StudioError

Picture = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float64]

_DETECTOR = "modules/face_detection/face_detection_short_range.tflite"
_MESH = "modules/face_landmark/face_landmark.tflite"
_DETECTOR_PX, _MESH_PX = 128, 192
_FOUND = 0.5  # score from which a detection counts
_OVERLAP = 0.3  # of two boxes, from which they are the same face
_IS_FACE = 0.5


def _model(name: str) -> Path:
    found = importlib.util.find_spec("mediapipe")
    folders = list(found.submodule_search_locations or ()) if found else []
    for folder in folders:
        if (Path(folder) / name).is_file():
            return Path(folder) / name
    what = "holds no face models" if folders else "is missing"
    raise StudioError(
        f"the Python package mediapipe {what}: `make studio` in the source tree, or pip install --no-deps mediapipe==0.10.21",
        EXIT_UNAVAILABLE,
    )


def _anchors() -> Points:
    """Centres [896,2] in 0..1: two a cell of 16x16, six a cell of 8x8."""
    parts = []
    for cells, each in ((16, 2), (8, 6)):
        rows, columns = np.mgrid[:cells, :cells]
        centres = np.stack([(columns + 0.5) / cells, (rows + 0.5) / cells], -1).reshape(-1, 2)
        parts.append(np.repeat(centres, each, 0))
    return np.concatenate(parts)


@dataclass(frozen=True)
class Detection:
    """A face: score, box centre and size in pixels, the eyes [2,2] (left in the picture first)."""

    score: float
    centre: Points
    size: Points
    eyes: Points

    @property
    def area(self) -> float:
        return float(self.size.prod())


@dataclass(frozen=True)
class Roi:
    """The square that the mesh looks at: centre in pixels, side, angle in radians."""

    centre: Points
    side: float
    angle: float

    def matrix(self) -> Points:
        """Picture -> the mesh's square, affine [2,3]."""
        across = self.side / 2 * np.array([np.cos(self.angle), np.sin(self.angle)])
        down = np.array([-across[1], across[0]])
        corners = np.array([self.centre - across - down, self.centre + across - down, self.centre - across + down])
        square = np.array([[0, 0], [_MESH_PX, 0], [0, _MESH_PX]])
        return np.asarray(cv2.getAffineTransform(corners.astype(np.float32), square.astype(np.float32)), float)


def _same_face(a: Detection, b: Detection) -> bool:
    """Overlapping, or one (of a face that a part of the picture cuts) centred in the other."""
    apart = np.abs(a.centre - b.centre)
    if (apart < np.maximum(a.size, b.size) / 2).all():
        return True
    low = np.maximum(a.centre - a.size / 2, b.centre - b.size / 2)
    high = np.minimum(a.centre + a.size / 2, b.centre + b.size / 2)
    shared = float(np.clip(high - low, 0, None).prod())
    return shared > _OVERLAP * (a.area + b.area - shared)


class FaceFinder:
    """Both models, loaded once. Not for several threads at a time."""

    def __init__(self) -> None:
        self._anchor = _anchors()
        self._detector: Any = cv2.dnn.readNetFromTFLite(str(_model(_DETECTOR)))
        self._mesh: Any = cv2.dnn.readNetFromTFLite(str(_model(_MESH)))

    def detect(self, picture: Picture, *, thorough: bool = False) -> list[Detection]:
        """All faces, best first. thorough: small ones too, looked for in squares of the picture; so it is if none is found."""
        height, width = picture.shape[:2]
        found = self._look(picture, 0, 0)
        side = min(width, height)
        if (thorough or not found) and max(width, height) > 1.2 * side:
            parts = -(-2 * (max(width, height) - side) // side) + 1  # each shares half of its neighbour
            for share in np.linspace(0, 1, parts):
                x, y = round((width - side) * float(share)), round((height - side) * float(share))
                found += self._look(picture[y : y + side, x : x + side], x, y)
        kept: list[Detection] = []
        for face in sorted(found, key=lambda f: -f.score):
            if not any(_same_face(face, other) for other in kept):
                kept.append(face)
        if len(kept) > 1:  # the mesh knows a window from a face; a single one is asked for its points anyway
            kept = [face for face in kept if self.mesh(picture, roi_of_detection(face)) is not None]
        return kept

    def _look(self, picture: Picture, left: int, top: int) -> list[Detection]:
        height, width = picture.shape[:2]
        side = max(width, height)
        small = cv2.resize(picture, (max(1, round(width * _DETECTOR_PX / side)), max(1, round(height * _DETECTOR_PX / side))),
                           interpolation=cv2.INTER_AREA)  # fmt: skip
        square = np.zeros((_DETECTOR_PX, _DETECTOR_PX, 3), np.uint8)
        y, x = (_DETECTOR_PX - small.shape[0]) // 2, (_DETECTOR_PX - small.shape[1]) // 2
        square[y : y + small.shape[0], x : x + small.shape[1]] = small
        self._detector.setInput(cv2.dnn.blobFromImage(square, 1 / 127.5, mean=(127.5,) * 3, swapRB=True))
        logits, raw = self._detector.forward(["classificators", "regressors"])
        score = 1 / (1 + np.exp(-np.clip(logits.reshape(-1).astype(float), -50, 50)))
        scale = side / _DETECTOR_PX
        out = []
        for i in np.flatnonzero(score > _FOUND):
            points = raw.reshape(-1, 8, 2)[i].astype(float)
            points[[0, 2, 3]] += self._anchor[i] * _DETECTOR_PX
            points[[0, 2, 3]] = (points[[0, 2, 3]] - (x, y)) * scale + (left, top)
            out.append(Detection(float(score[i]), points[0], points[1] * scale, points[2:4]))
        return out

    def mesh(self, picture: Picture, roi: Roi) -> Points | None:
        """The face's points [468,3] in pixels (z: towards the back, same unit), or None where there is no face."""
        matrix = roi.matrix()
        crop = cv2.warpAffine(picture, matrix, (_MESH_PX, _MESH_PX), flags=cv2.INTER_LINEAR)
        self._mesh.setInput(cv2.dnn.blobFromImage(crop, 1 / 255, swapRB=True))
        raw, flag = self._mesh.forward(["conv2d_21", "conv2d_31"])
        if 1 / (1 + np.exp(-float(flag.reshape(-1)[0]))) < _IS_FACE:
            return None
        points = raw.reshape(-1, 3).astype(float)
        back = cv2.invertAffineTransform(matrix)
        flat = points[:, :2] @ back[:, :2].T + back[:, 2]
        return np.asarray(np.concatenate([flat, points[:, 2:] * roi.side / _MESH_PX], 1))


def roi_of_detection(face: Detection) -> Roi:
    """Where to look for the points of a face that was just found."""
    across = face.eyes[1] - face.eyes[0]
    return Roi(face.centre, 1.5 * float(face.size.max()), float(np.arctan2(across[1], across[0])))


def roi_of_points(points: Points) -> Roi:
    """Where to look in the next frame."""
    across = points[263, :2] - points[33, :2]
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    return Roi((low + high) / 2, 1.5 * float((high - low).max()), float(np.arctan2(across[1], across[0])))
