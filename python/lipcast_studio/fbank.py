"""Kaldi's 80 log-mel filterbank energies of 25 ms every 10 ms, as matrices: what WeNet's encoder hears."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FRAME, STEP, BANDS, FFT = 400, 160, 80, 512
FLOOR = float(np.finfo(np.float32).eps)
_RATE_HZ, _LOWEST_HZ, _HIGHEST_HZ = 16_000, 20.0, 8_000.0
_PRE_EMPHASIS = 0.97

Float64 = npt.NDArray[np.float64]


def spectrum() -> tuple[Float64, Float64]:
    """Two [400, 257]: a frame of samples times them is the real and imaginary part of its spectrum.

    In one: mean removed, pre-emphasis (the first sample is its own predecessor), Povey's window, DFT of 512.
    """
    centred = np.eye(FRAME) - 1 / FRAME
    emphasis = np.eye(FRAME) - _PRE_EMPHASIS * np.eye(FRAME, k=1)
    emphasis[0, 0] -= _PRE_EMPHASIS
    n = np.arange(FRAME)
    window = (0.5 - 0.5 * np.cos(2 * np.pi * n / (FRAME - 1))) ** 0.85
    angle = 2 * np.pi * np.outer(n, np.arange(FFT // 2 + 1)) / FFT
    before = centred @ emphasis * window
    return before @ np.cos(angle), before @ -np.sin(angle)


def bank() -> Float64:
    """[257, 80]: triangles equally wide on the mel scale 1127 ln(1 + f / 700), 20..8000 Hz; the last bin counts nowhere."""

    def mel(hz: Float64 | float) -> Float64:
        return np.asarray(1127 * np.log1p(np.asarray(hz) / 700))

    edges = np.linspace(mel(_LOWEST_HZ), mel(_HIGHEST_HZ), BANDS + 2)
    bins = mel(np.arange(FFT // 2 + 1) * _RATE_HZ / FFT)[:, None]
    up = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    down = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    table = np.maximum(0, np.minimum(up, down))
    table[-1] = 0
    return table


def fbank(samples: npt.NDArray[np.float32]) -> Float64:
    """[n] in -1..1 -> [1 + (n - 400) // 160, 80], by the Fourier transform itself; samples are cut to 16 bit first."""
    pcm = np.trunc(np.asarray(samples, np.float32) * np.float32(32767)).astype(np.float64)
    frames = np.lib.stride_tricks.sliding_window_view(pcm, FRAME)[::STEP]
    frames = frames - frames.mean(axis=1, keepdims=True)
    before = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    window = np.hanning(FRAME) ** 0.85
    power = np.abs(np.fft.rfft((frames - _PRE_EMPHASIS * before) * window, FFT)) ** 2
    return np.asarray(np.log(np.maximum(power @ bank(), FLOOR)))
