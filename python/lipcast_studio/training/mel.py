"""Log-mel frames exactly as the engine computes them, in plain numpy.

16 kHz mono float in [-1, 1] -> pre-emphasis -> magnitude STFT -> 80 Slaney bands -> decibels -> [-4, 4].
Training augments between `linear_mel` and `compress`, where a gain or a filter is a plain product.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Reals = npt.NDArray[np.float64]

RATE_HZ = 16_000
WINDOW_SAMPLES = 800
HOP_SAMPLES = 200
BANDS = 80
WINDOW_FRAMES = 16  # mel frames the encoder sees at once
FPS = 25


def _hz_of_mel(mel: Reals) -> Reals:
    """Slaney scale: linear below 1 kHz (200/3 Hz a step), logarithmic above (27 steps per 6.4x)."""
    return np.where(mel < 15.0, mel * 200.0 / 3.0, 1000.0 * 6.4 ** ((mel - 15.0) / 27.0))


def _mel_of_hz(hz: float) -> float:
    return hz * 3.0 / 200.0 if hz < 1000.0 else 15.0 + 27.0 * float(np.log(hz / 1000.0) / np.log(6.4))


def mel_bank(low_hz: float = 55.0, high_hz: float = 7600.0) -> Reals:
    """Triangles of equal area, [80 bands, 401 bins]."""
    edges = _hz_of_mel(np.linspace(_mel_of_hz(low_hz), _mel_of_hz(high_hz), BANDS + 2))
    bins = np.arange(WINDOW_SAMPLES // 2 + 1) * RATE_HZ / WINDOW_SAMPLES
    rise = (bins[None] - edges[:-2, None]) / np.diff(edges)[:-1, None]
    fall = (edges[2:, None] - bins[None]) / np.diff(edges)[1:, None]
    return np.asarray(np.maximum(0.0, np.minimum(rise, fall)) * (2.0 / (edges[2:] - edges[:-2]))[:, None])


_BANK = mel_bank().astype(np.float32)
_HANN = (0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(WINDOW_SAMPLES) / WINDOW_SAMPLES)).astype(np.float32)


def linear_mel(wave: npt.ArrayLike) -> Floats:
    """wave [L] -> band magnitudes [1 + L // 200, 80], not yet in decibels."""
    x = np.asarray(wave, np.float32)
    emphasised = x.copy()
    emphasised[1:] -= 0.97 * x[:-1]
    padded = np.pad(emphasised, WINDOW_SAMPLES // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW_SAMPLES)[::HOP_SAMPLES]
    out = np.empty((1 + len(x) // HOP_SAMPLES, BANDS), np.float32)
    for first in range(0, len(out), 2048):  # bounded memory for long recordings
        part = frames[first : first + 2048] * _HANN
        out[first : first + len(part)] = np.abs(np.fft.rfft(part)).astype(np.float32) @ _BANK.T
    return out


def compress(linear: npt.NDArray[Any]) -> Floats:
    """Band magnitudes -> the normalised decibels the encoder takes, same shape, in [-4, 4]."""
    decibels = 20.0 * np.log10(np.maximum(1e-5, linear)) - 20.0
    return np.asarray(np.clip(8.0 * (decibels + 100.0) / 100.0 - 4.0, -4.0, 4.0), np.float32)


def log_mel(wave: npt.ArrayLike) -> Floats:
    """wave [L] -> [T, 80]."""
    return compress(linear_mel(wave))


def window_start(index: int) -> int:
    """First mel frame of window `index` (80 mel frames and 25 windows a second)."""
    return index * 80 // FPS


def windows(wave: Floats) -> Floats:
    """wave [L] -> encoder input [n + 7, 1, 80, 16] for n = ceil(seconds * 25) frames; silence follows the wave."""
    count = -(-len(wave) * FPS // RATE_HZ) + 7
    samples = (window_start(count - 1) + WINDOW_FRAMES) * HOP_SAMPLES
    frames = log_mel(np.pad(wave, (0, max(0, samples - len(wave)))))
    picks = [frames[window_start(i) : window_start(i) + WINDOW_FRAMES].T for i in range(count)]
    return np.asarray(np.stack(picks)[:, None], np.float32)


def contexts(features: Floats, count: int) -> Floats:
    """Encoder rows [m, 512] -> the generator's audio input [count, 32, 16, 16].

    Rows are padded as [first, all rows, last]; frame i takes padded rows i-8 .. i+7, zeros outside.
    """
    rows = np.concatenate([features[:1], features, features[-1:]])
    out = np.zeros((count, WINDOW_FRAMES, features.shape[1]), np.float32)
    for i in range(count):
        low, high = max(0, i - 8), min(len(rows), i + 8)
        out[i, low - (i - 8) : high - (i - 8)] = rows[low:high]
    return out.reshape(count, 32, 16, 16)
