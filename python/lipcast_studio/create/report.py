"""Which frames of a recording are of use, said before any training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..face.boxes import Box
from ..face.mouth import OPEN, Scale
from ..face.speech_check import loudness_db, sound_lag, speech_frames, still_mouth
from ..face.track import REASONS, STILL_MOUTH, Track, runs
from ..video.damage import FPS, listed, times

USABLE_S, SPEECH_S = 10.0, 5.0
_LAG_FRAMES, _LAG_R = 3, 0.3


@dataclass
class Report:
    """lines: for people. refusal: why it cannot be trained on, or ""."""

    frames: int
    usable: int
    speech_s: float
    reasons: dict[str, list[tuple[int, int]]]
    sound_lag: int
    refusal: str = ""
    warnings: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """One for each reason, then the sum."""
        out = []
        for reason, found in self.reasons.items():
            out.append(f"unusable, {reason}: {listed(found)}")
        out += [f"warning: {warning}" for warning in self.warnings]
        out.append(
            f"usable: {self.usable} of {self.frames} frames ({self.usable / FPS:.1f} of {self.frames / FPS:.1f} s),"
            f" speech in {self.speech_s:.1f} s of them"
        )
        return out

    def facts(self) -> dict[str, Any]:
        """For create.json."""
        return {
            "frames": self.frames, "usable": self.usable, "speech_s": round(self.speech_s, 2),
            "unusable": {reason: [list(run) for run in found] for reason, found in self.reasons.items()},
            "sound_lag_frames": self.sound_lag, "warnings": self.warnings,
        }  # fmt: skip


def judge(track: Track, boxes: list[Box | None], measured: npt.NDArray[np.float64], scale: Scale | None,
          wave: npt.NDArray[np.float32]) -> Report:  # fmt: skip
    """Marks frames of speech with a still mouth in the track (and their boxes), and sums up.

    scale: None where no frame shows a face. measured [n,7] as in face.mouth.
    """
    count = len(track.status)
    loudness = loudness_db(wave, count)
    speech = speech_frames(loudness)
    opening = np.full(count, np.nan) if scale is None else scale.values(measured)[:, OPEN].astype(float)
    opening[~track.usable] = np.nan
    moves = scale is not None and _moves(measured[track.usable])
    if moves:
        track.status[still_mouth(speech, opening) & track.usable] = STILL_MOUTH
    usable = track.usable
    for i in np.flatnonzero(~usable):
        boxes[i] = None
    reasons = {text: runs(track.status == code) for code, text in REASONS.items() if (track.status == code).any()}
    lag, agreement = sound_lag(loudness, opening, usable) if moves and usable.sum() > 50 else (0, 0.0)
    report = Report(count, int(usable.sum()), float((speech & usable).sum()) / FPS, reasons, lag)
    if abs(lag) > _LAG_FRAMES and agreement > _LAG_R:
        report.warnings.append(f"the mouth moves {abs(lag) * 40} ms {'after' if lag > 0 else 'before'} the sound")
    report.refusal = _refusal(report, moves, loudness)
    return report


def _moves(measured: npt.NDArray[np.float64]) -> bool:
    """Whether the opening's range is more than the landmarks' noise."""
    low, high = np.nanpercentile(measured[:, OPEN], [2, 98])
    return bool(high - low > 0.05)


def silence(wave: npt.NDArray[np.float32], frames: int) -> str:
    """Why a sound is no speech, or "": known before any face is looked for."""
    loudness = loudness_db(wave, frames)
    return _too_quiet(float(speech_frames(loudness).sum()) / FPS, loudness)


def _too_quiet(speech_s: float, loudness: npt.NDArray[np.float64]) -> str:
    if speech_s >= SPEECH_S:
        return ""
    return (
        f"{speech_s:.1f} s of speech, want {SPEECH_S:g} or more: the sound is silent or nearly so"
        f" (loudest frame {float(loudness.max()):.0f} dBFS) in {times(0, len(loudness) - 1)}"
    )


def _refusal(report: Report, moves: bool, loudness: npt.NDArray[np.float64]) -> str:
    if report.usable / FPS < USABLE_S:
        why = "; ".join(f"{reason} in {listed(found)}" for reason, found in report.reasons.items())
        return f"{report.usable / FPS:.1f} s of usable picture, want {USABLE_S:g} or more: {why or 'the recording is too short'}"
    quiet = _too_quiet(report.speech_s, loudness)
    if quiet:
        return quiet
    if not moves:
        return f"the mouth does not move in {times(0, report.frames - 1)}"
    return ""
