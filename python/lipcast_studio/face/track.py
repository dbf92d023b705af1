"""One face through a recording: its points in every frame, and why a frame is of no use."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from .landmarks import Detection, FaceFinder, Picture, Points, roi_of_detection, roi_of_points

Floats = npt.NDArray[np.float64]

USABLE, NO_FACE, SEVERAL_FACES, CUT_OFF, BLURRED, JUMP, STILL_MOUTH, ON_ITS_SIDE, DAMAGED = range(9)
REASONS = {
    NO_FACE: "no face",
    SEVERAL_FACES: "several faces",
    CUT_OFF: "face cut off",
    BLURRED: "blurred",
    JUMP: "the picture jumps",
    STILL_MOUTH: "speech with a still mouth (another voice?)",
    ON_ITS_SIDE: "face on its side (turn the video upright)",
    DAMAGED: "damaged in the file",
}
_SECOND_FACE = 0.25  # its area to the first one's, from which it counts
_THOROUGH_FRAMES = 5  # small faces are looked for this often; what is found holds until the next look
_BLUR_SHARE = 0.25  # of the recording's median sharpness
_JUMP = 0.35  # move from one frame to the next, in widths of the face
_SHARP_PX = 128
_UPRIGHT = np.pi / 4  # the eyes' line to the horizontal, at most


@dataclass
class Track:
    """points [n,468,3] in pixels (NaN where there is no face), sharpness [n], status [n] (a key of REASONS, or USABLE)."""

    points: Floats
    sharpness: Floats
    status: npt.NDArray[np.int64]
    width: int
    height: int

    @property
    def usable(self) -> npt.NDArray[np.bool_]:
        return np.asarray(self.status == USABLE)

    def save(self, path: Path) -> None:
        """Writes the track beside its name first."""
        part = path.with_name(f".{path.stem}.part.npz")
        np.savez(part, points=self.points.astype(np.float32), sharpness=self.sharpness, status=self.status,
                 size=np.array([self.width, self.height]))  # fmt: skip
        part.replace(path)

    @staticmethod
    def load(path: Path) -> Track:
        with np.load(path) as kept:
            width, height = (int(v) for v in kept["size"])
            return Track(kept["points"].astype(float), kept["sharpness"], kept["status"], width, height)


def _sharpness(picture: Picture, points: Points) -> float:
    """Variance of the Laplacian over the face, brought to one size."""
    matrix = roi_of_points(points).matrix() * (_SHARP_PX / 192)
    face = cv2.warpAffine(picture, matrix, (_SHARP_PX, _SHARP_PX), flags=cv2.INTER_AREA)
    return float(cv2.Laplacian(cv2.cvtColor(face, cv2.COLOR_BGR2GRAY), cv2.CV_64F).var())


def _main_face(found: list[Detection], before: Points | None) -> Detection | None:
    if not found:
        return None
    if before is None:
        return max(found, key=lambda face: face.area)
    centre = before[:, :2].mean(0)
    return min(found, key=lambda face: float(np.linalg.norm(face.centre - centre)))


def _points(finder: FaceFinder, picture: Picture, face: Detection | None, before: Points | None) -> Points | None:
    """The square of the frame before is steadier than a detection, so it is taken where the two agree."""
    if before is not None:
        roi = roi_of_points(before)
        if face is None or np.linalg.norm(roi.centre - face.centre) < 0.25 * roi.side:
            points = finder.mesh(picture, roi)
            if points is not None:
                return points
    return finder.mesh(picture, roi_of_detection(face)) if face is not None else None


def follow(frames: Iterable[Picture], count: int, width: int, height: int, finder: FaceFinder,
           progress: Callable[[int], None] = lambda _: None) -> Track:  # fmt: skip
    """Looks at every frame once. progress is told how many are done."""
    points = np.full((count, 468, 3), np.nan)
    sharpness = np.zeros(count)
    status = np.full(count, NO_FACE)
    before: Points | None = None
    crowded = False
    for i, picture in enumerate(frames):
        if i >= count:
            break
        thorough = i % _THOROUGH_FRAMES == 0
        found = finder.detect(picture, thorough=thorough)
        face = _main_face(found, before)
        here = _points(finder, picture, face, before)
        if here is not None:
            points[i], sharpness[i], status[i] = here, _sharpness(picture, here), USABLE
            others = [f for f in found if f is not face and face is not None and f.area >= _SECOND_FACE * face.area]
            crowded = bool(others) or (crowded and not thorough)
            if crowded:
                status[i] = SEVERAL_FACES
            elif abs(roi_of_points(here).angle) > _UPRIGHT:
                status[i] = ON_ITS_SIDE
            elif before is not None:
                wide = np.linalg.norm(here[454, :2] - here[234, :2])
                if np.linalg.norm(here[:, :2].mean(0) - before[:, :2].mean(0)) > _JUMP * wide:
                    status[i] = JUMP
        before = here
        progress(i + 1)
    track = Track(points, sharpness, status, width, height)
    seen = track.status == USABLE
    if seen.any():
        track.status[seen & (sharpness < _BLUR_SHARE * np.median(sharpness[seen]))] = BLURRED
    return track


def runs(mask: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """(first, last) of each run of True."""
    edges = np.diff(np.concatenate([[0], mask.astype(int), [0]]))
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    return [(int(a), int(b) - 1) for a, b in zip(starts, ends, strict=True)]
