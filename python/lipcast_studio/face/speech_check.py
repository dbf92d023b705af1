"""Sound and mouth against each other: is there speech, does the mouth move with it, and at the same time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..training.agreement import best_lag, lagged_correlation

Floats = npt.NDArray[np.float64]

SPEECH_DBFS = -50.0
_BELOW_LOUD_DB = 32.0
_STILL_S = 2.0
_KNOWN_SHARE = 0.8  # of these seconds: of a mouth that is hidden for part of them nothing is said
_STILL = 0.06  # spread of the opening (0..1) under which a mouth does not speak
FPS = 25


def loudness_db(wave: npt.NDArray[np.float32], frames: int) -> Floats:
    """RMS of each frame's samples [frames] in dBFS, -120 where there is nothing."""
    power = (wave[: frames * 640].reshape(frames, 640).astype(float) ** 2).mean(1)
    return np.asarray(10 * np.log10(np.maximum(power, 1e-12)))


def speech_frames(loudness: Floats) -> npt.NDArray[np.bool_]:
    """Frames that are loud enough for speech: within 32 dB of the loud ones and above -50 dBFS."""
    return np.asarray(loudness > max(SPEECH_DBFS, float(np.percentile(loudness, 95)) - _BELOW_LOUD_DB))


def still_mouth(speech: npt.NDArray[np.bool_], opening: Floats) -> npt.NDArray[np.bool_]:
    """Frames of at least two seconds's speech in which the mouth [n] (0..1, NaN unknown) does not move."""
    size = int(_STILL_S * FPS)
    out = np.zeros(len(speech), bool)
    for first in range(0, len(speech) - size + 1, 5):
        part = slice(first, first + size)
        known = opening[part][np.isfinite(opening[part])]
        if speech[part].mean() > 0.9 and len(known) > _KNOWN_SHARE * size and known.std() < _STILL:
            out[part] = True
    return out


def sound_lag(loudness: Floats, opening: Floats, usable: npt.NDArray[np.bool_]) -> tuple[int, float]:
    """By how many frames the mouth follows the sound (+: the sound is early), and the correlation there."""
    level = np.where(usable, np.maximum(loudness, -70.0), np.nan)
    mouth = np.where(usable, opening, np.nan)
    level, mouth = np.nan_to_num(level - np.nanmean(level)), np.nan_to_num(mouth - np.nanmean(mouth))
    lag = best_lag(mouth, level, 15)
    return lag, lagged_correlation(mouth, level, lag)
