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
    """look_ahead: windows after its own that a frame hears. reference_count: windows of a whole file, by mel frames.

    sound: (features of all windows, frame) -> the network's sound input, batch left out.
    """

    masked_first: bool
    interpolation: int
    look_ahead: int
    reference_count: Callable[[int], int]
    sound: Callable[[Float32, int], Float32]


def _context(table: Float32, frame: int) -> Float32:
    return features.context(features.rows(table), frame)


def _own_window(table: Float32, frame: int) -> Float32:
    return table[frame].reshape(1, 80, 16)


FAMILIES = {
    "synctalk": Family(False, cv2.INTER_CUBIC, windows.LOOK_AHEAD_WINDOWS, windows.reference_count, _context),
    "wav2lip": Family(True, cv2.INTER_LINEAR, 0, windows.wav2lip_count, _own_window),
}
