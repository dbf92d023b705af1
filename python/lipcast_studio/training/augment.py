"""Voices, rooms and microphones that are not in the recordings, made up on linear mel magnitudes.

There a gain, a filter, reverberation and noise are products and sums, so they are cheap and exact.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

from .mel import BANDS, RATE_HZ, compress, linear_mel, mel_bank

Mel = npt.NDArray[np.float32]


class Augment:
    """Every call draws from the generator it is given; the object itself never changes."""

    def __init__(self, seed: int) -> None:
        bank = mel_bank()
        self.centre_hz = (bank * np.arange(bank.shape[1])).sum(1) / bank.sum(1) * 20.0
        noise = np.random.default_rng(seed).standard_normal(60 * RATE_HZ)
        self.white = linear_mel(noise.astype(np.float32))  # per unit of sigma
        self.shape = self.white.mean(0)

    @staticmethod
    def _curve(rng: np.random.Generator, points: int, spread_db: float) -> npt.NDArray[np.float64]:
        gains = rng.uniform(-spread_db, spread_db, points)
        return np.asarray(10 ** (np.interp(np.linspace(0, 1, BANDS), np.linspace(0, 1, points), gains) / 20))

    def _noise(self, rng: np.random.Generator, frames: int, sigma: float) -> npt.NDArray[np.float64]:
        at = rng.integers(0, len(self.white) - frames)
        noise = self.white[at : at + frames] * sigma
        noise = noise * (self.shape.mean() / self.shape) ** rng.uniform(0, 1.2) * self._curve(rng, 4, 10)
        if rng.random() < 0.3:
            noise = noise * (1 + 0.9 * np.sin(rng.uniform(0, 6) + np.arange(frames) * rng.uniform(0.02, 0.5)))[:, None]
        return np.asarray(noise)

    def silence(self, rng: np.random.Generator, frames: int) -> Mel:
        """Nothing, or a room's noise: normalised decibels [frames,80]."""
        x = np.zeros((frames, BANDS))
        if rng.random() < 0.7:
            x = x + self._noise(rng, frames, 10 ** (rng.uniform(-85, -28) / 20))
        return compress(x)

    def __call__(self, rng: np.random.Generator, mel: npt.NDArray[Any]) -> Mel:
        """Linear mel [T,80] -> normalised decibels [T,80]."""
        x: npt.NDArray[Any] = mel
        if rng.random() < 0.7:
            warped = self.centre_hz * rng.uniform(0.84, 1.19)
            place = np.interp(warped, self.centre_hz, np.arange(BANDS))
            low = np.minimum(place.astype(int), BANDS - 2)
            part = (place - low).astype(np.float32)
            x = x[:, low] * (1 - part) + x[:, low + 1] * part
        if rng.random() < 0.7:
            x = x * self._curve(rng, 5, 9)
        if rng.random() < 0.2:
            x = x / (1 + (self.centre_hz / rng.uniform(3000, 7000)) ** rng.uniform(8, 24))
        if rng.random() < 0.4:
            keep = np.exp(-1 / (80 * rng.uniform(0.03, 0.25)))
            tail = lfilter([rng.uniform(0.05, 0.5) * (1 - keep)], [1, -keep], x**2, axis=0)
            x = np.sqrt(x**2 + tail)
        gain_db = rng.uniform(-20, 8)
        if rng.random() < 0.65:
            x = np.sqrt(x**2 + self._noise(rng, len(x), 0.07 * 10 ** (-rng.uniform(6, 48) / 20)) ** 2)
        out = compress(x * 10 ** (gain_db / 20))
        if rng.random() < 0.3:
            width, at = int(rng.integers(1, 9)), int(rng.integers(0, BANDS - 8))
            out[:, at : at + width] = out[:, at : at + width].mean()
        return out
