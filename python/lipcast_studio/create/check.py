"""The finished package speaks the held-out sound, and its mouth is measured on the pictures as the recording's was."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..face.landmarks import FaceFinder, Points, roi_of_points
from ..face.mouth import OPEN, Scale, measures
from ..onnx_file import unet_kind
from ..training.agreement import best_lag, lagged_correlation
from ..training.picture import Picture, inner_picture, with_inner_picture
from ..training.speaker import Speaker
from ..video.ffmpeg import read_frames
from .package import Background

Floats = npt.NDArray[np.float32]

_LONGEST_FRAMES = 750
_SILENCE_FRAMES = 50
_LARGEST_LAG, _OPEN_IN_SILENCE = 2, 0.3


@dataclass(frozen=True)
class Figures:
    """Openings are 0..1 of what the person does. r: against the recording, over held_out_frames; lag in frames."""

    mouth_r: float
    lag_frames: int
    held_out_frames: int
    opening_spread: float  # of the avatar's to the recording's
    opening_in_silence: float

    def line(self) -> str:
        """For people."""
        return (
            f"check: mouth opening r {self.mouth_r:.2f}, lag {self.lag_frames} frames, spread {self.opening_spread:.2f} of the"
            f" person's, on {self.held_out_frames} held-out frames; in silence {self.opening_in_silence:.2f} open"
        )

    def warnings(self) -> list[str]:
        """What a user should not overlook."""
        out = []
        if abs(self.lag_frames) > _LARGEST_LAG:
            out.append(f"the mouth is {abs(self.lag_frames)} frames {'late' if self.lag_frames > 0 else 'early'}")
        if self.mouth_r < 0.5:
            out.append(f"the mouth follows unheard speech loosely (r {self.mouth_r:.2f}): train longer or record more")
        if self.opening_in_silence > _OPEN_IN_SILENCE:
            out.append(f"the mouth is {self.opening_in_silence:.2f} open in silence")
        return out

    def facts(self) -> dict[str, float]:
        """For create.json."""
        return {key: round(value, 4) for key, value in asdict(self).items()}


def _shown(folder: Path, background: Background) -> Iterator[Picture]:
    """The package's frames, from the first again after the last."""
    while True:
        yield from read_frames(folder / "frames.mp4", background.width, background.height)


def _openings(pictures: Iterable[Picture], count: int, folder: Path, background: Background, points: Points, scale: Scale,
              finder: FaceFinder) -> npt.NDArray[np.float64]:  # fmt: skip
    """pictures: `count` inner ones, frame by frame; points [background.count,468,3] of the recording's frames."""
    found = np.full((count, 468, 3), np.nan)
    for i, (inner, shown) in enumerate(zip(pictures, _shown(folder, background), strict=False)):
        k = i % background.count
        mesh = finder.mesh(with_inner_picture(shown, background.boxes[k], inner), roi_of_points(points[k]))
        if mesh is not None:
            found[i] = mesh
    return scale.values(measures(found))[:, OPEN].astype(float)


def check(folder: Path, background: Background, points: Points, scale: Scale, wave: Floats, opening: Floats,
          usable: npt.NDArray[np.bool_]) -> Figures:  # fmt: skip
    """wave [frames * 640]: held-out sound; opening, usable [frames]: the recording's. points: of the background's frames."""
    frames = min(len(opening), _LONGEST_FRAMES)
    inner_px, _ = unet_kind(folder / "generator.onnx")
    on = zip(_shown(folder, background), background.boxes, strict=False)
    speaker = Speaker(folder, [inner_picture(frame, box, inner_px) for frame, box in on])
    finder = FaceFinder()

    def openings(sound: Floats) -> npt.NDArray[np.float64]:
        return _openings(speaker.speak(sound), len(sound) // 640, folder, background, points, scale, finder)

    spoken, silence = openings(wave[: frames * 640]), openings(np.zeros(_SILENCE_FRAMES * 640, np.float32))
    known = usable[:frames] & np.isfinite(spoken)
    mean = float(opening[:frames][known].mean()) if known.any() else 0.0
    truth, output = np.where(known, opening[:frames], mean), np.where(known, spoken, mean)
    lag = best_lag(output, truth)
    spread = float(output[known].std() / max(1e-6, truth[known].std())) if known.any() else 0.0
    return Figures(lagged_correlation(output, truth, 0), lag, int(known.sum()), spread, float(np.nanmean(silence)))
