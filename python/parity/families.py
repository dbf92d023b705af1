"""What the model families do differently: what a frame hears, and how its picture is scaled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from parity import features, windows

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Family:
    """How a picture goes in, and sound: (features of all windows, frame, shape) -> the network's sound input [*shape]."""

    masked_first: bool
    interpolation: int
    sound: Callable[[Float32, int, tuple[int, ...]], Float32]


def _context(table: Float32, frame: int, shape: tuple[int, ...]) -> Float32:
    return features.context(features.rows(table), frame).reshape(shape)


def _own_window(table: Float32, frame: int, shape: tuple[int, ...]) -> Float32:
    return table[frame].reshape(shape)


def _around(table: Float32, frame: int, shape: tuple[int, ...]) -> Float32:
    """As many features before the frame as from it on, zeros where there is none."""
    count = int(np.prod(shape)) // table.shape[1]
    out = np.zeros((count, table.shape[1]), np.float32)
    first = frame - count // 2
    begin, end = max(first, 0), min(first + count, len(table))
    if begin < end:
        out[begin - first : end - first] = table[begin:end]
    return out.reshape(shape)


FAMILIES = {
    "synctalk": Family(False, cv2.INTER_CUBIC, _context),
    "ultralight": Family(False, cv2.INTER_LINEAR, _around),
    "wav2lip": Family(True, cv2.INTER_LINEAR, _own_window),
}


@dataclass(frozen=True)
class Hearing:
    """Of an audio kind. fps: the model's rate. look_ahead: windows of mel after its own that a frame hears.

    reference_count: (mel frames, samples at 16 kHz) -> features the original makes of a whole file.
    tail_samples: of a window of samples behind its last frame; 0 where windows are of mel.
    """

    fps: int
    look_ahead: int
    reference_count: Callable[[int, int], int]
    tail_samples: int = 0


def _wenet_count(samples: int) -> int:
    mel_frames = (samples + 67 * 160 - 400) // 160 + 1
    count, end = 0, 0
    while end < mel_frames:
        end = 5 * count + 67
        count += 1
    return count


HEARINGS = {
    "ave": Hearing(25, windows.LOOK_AHEAD_WINDOWS, lambda mel, _: windows.reference_count(mel)),
    "mel": Hearing(25, 0, lambda mel, _: windows.wav2lip_count(mel)),
    "hubert": Hearing(25, 0, lambda _, samples: (samples - 80) // 320 // 2, 5200),
    "wenet": Hearing(20, 0, lambda _, samples: _wenet_count(samples), 5040),
}
