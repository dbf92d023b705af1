"""The filterbank is Kaldi's."""

from __future__ import annotations

import numpy as np

from lipcast_studio.fbank import FLOOR, bank, fbank, spectrum

BANDS = (0, 7, 20, 41, 79)
# kaldi-native-fbank 1.23.0: dither 0, 80 bins, energy_floor 0, the rest as it comes; of the sound below times 32767,
# cut to whole numbers.
KALDI = {
    0: (-15.9424, -15.9424, -15.9424, -15.9424, -15.9424),
    3: (15.5302, 19.5122, 17.7715, 17.4150, 18.1660),
    11: (13.3115, 12.9355, 18.3681, 18.6929, 19.2363),
    22: (12.9017, 11.2575, 22.4659, 18.6995, 19.2349),
}


def sound() -> np.ndarray:
    """A quarter of a second: silence, then a rising tone, a buzz and an offset."""
    t = np.arange(4000) / 16000
    x = 0.2 * np.sin(2 * np.pi * (200 + 900 * t) * t) + 0.05 * np.sign(np.sin(2 * np.pi * 130 * t)) + 0.02
    x[:700] = 0
    return x.astype(np.float32)


def test_it_equals_kaldis_own() -> None:
    table = fbank(sound())
    assert table.shape == (23, 80)
    for frame, values in KALDI.items():
        np.testing.assert_allclose(table[frame, BANDS], values, rtol=0, atol=1e-3)


def test_the_matrices_compute_the_same() -> None:
    pcm = np.trunc(sound() * np.float32(32767)).astype(np.float64)
    frames = np.lib.stride_tricks.sliding_window_view(pcm, 400)[::160]
    power = sum((frames @ part) ** 2 for part in spectrum())
    np.testing.assert_allclose(np.log(np.maximum(power @ bank(), FLOOR)), fbank(sound()), rtol=0, atol=1e-6)
