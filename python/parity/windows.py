"""Log-mel to windows of 16 frames, 25 a second. Contract section 2."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from parity import mel as melmod

WINDOW_MEL_FRAMES = 16
MODEL_FPS = 25
LOOK_AHEAD_WINDOWS = 6  # the context of frame i ends with window i + 6


def first_mel_frame(index: int) -> int:
    """The mel frame at which window `index` starts: floor(80 i / 25), in integers."""
    return melmod.MEL_FRAMES_PER_S * index // MODEL_FPS


def count_for_samples(samples: int, rate_hz: int = melmod.SAMPLE_RATE_HZ) -> int:
    """ceil(duration x 25): model frames of that many samples."""
    return -(-samples * MODEL_FPS // rate_hz)


def reference_count(mel_frames: int) -> int:
    """How many windows the Python reference makes: one past the last that fits.

    Raises ValueError below 16 mel frames, as the reference does.
    """
    if mel_frames < WINDOW_MEL_FRAMES:
        raise ValueError(f"mel has {mel_frames} frames, want >= {WINDOW_MEL_FRAMES}")
    return int((mel_frames - WINDOW_MEL_FRAMES) / melmod.MEL_FRAMES_PER_S * MODEL_FPS) + 2


def wav2lip_count(mel_frames: int) -> int:
    """How many windows Wav2Lip's script makes: those that fit, and one that slides back to the end."""
    if mel_frames < WINDOW_MEL_FRAMES:
        raise ValueError(f"mel has {mel_frames} frames, want >= {WINDOW_MEL_FRAMES}")
    index = 0
    while first_mel_frame(index) + WINDOW_MEL_FRAMES <= mel_frames:
        index += 1
    return index + 1


def samples_needed(windows: int) -> int:
    """Samples at 16 kHz after which `windows` whole windows exist."""
    if windows == 0:
        return 0
    return (first_mel_frame(windows - 1) + WINDOW_MEL_FRAMES - 1) * melmod.HOP_SAMPLES


def cut(mel: npt.NDArray[np.floating], count: int) -> npt.NDArray[np.float32]:
    """[T, 80] -> [count, 80, 16], band-major; a window past the end becomes the last whole one."""
    last = len(mel) - WINDOW_MEL_FRAMES
    out = np.empty((count, melmod.BANDS, WINDOW_MEL_FRAMES), np.float32)
    for i in range(count):
        start = min(first_mel_frame(i), last)
        out[i] = mel[start : start + WINDOW_MEL_FRAMES].T
    return out
