"""PCM to log-mel, in float64. Contract section 1."""

from __future__ import annotations

import functools

import librosa
import numpy as np
import numpy.typing as npt
import soundfile
import soxr

SAMPLE_RATE_HZ = 16_000
WINDOW_SAMPLES = 800
HOP_SAMPLES = 200
BANDS = 80
LOWEST_HZ = 55.0
HIGHEST_HZ = 7600.0
PRE_EMPHASIS = 0.97
FLOOR = 1e-5
REFERENCE_DB = 20.0
MEL_FRAMES_PER_S = SAMPLE_RATE_HZ // HOP_SAMPLES

Float64 = npt.NDArray[np.float64]


def read_audio(path: str) -> tuple[npt.NDArray[np.float32], int]:
    """Reads a sound file: ([samples] float32 in -1..1, the mean of the channels; rate_hz)."""
    samples, rate_hz = soundfile.read(path, dtype="float64", always_2d=True)
    return samples.mean(axis=1).astype(np.float32), int(rate_hz)


def to_model_rate(samples: npt.NDArray[np.float32], rate_hz: int) -> npt.NDArray[np.float32]:
    """[samples] at rate_hz -> [samples] at 16 kHz, by soxr HQ."""
    if rate_hz == SAMPLE_RATE_HZ:
        return samples
    return soxr.resample(samples, rate_hz, SAMPLE_RATE_HZ, quality="HQ").astype(np.float32)


def pre_emphasis(samples: npt.NDArray[np.floating]) -> Float64:
    """y[0] = x[0], y[n] = x[n] - 0.97 x[n-1]."""
    x = samples.astype(np.float64)
    y = x.copy()
    y[1:] -= PRE_EMPHASIS * x[:-1]
    return y


@functools.cache
def periodic_hann() -> Float64:
    """[800], the Hann window whose period is its length."""
    n = np.arange(WINDOW_SAMPLES)
    return 0.5 - 0.5 * np.cos(2.0 * np.pi * n / WINDOW_SAMPLES)


@functools.cache
def bank() -> Float64:
    """[80, 401] triangles, Slaney scale and Slaney norm, 55..7600 Hz."""
    return librosa.filters.mel(
        sr=SAMPLE_RATE_HZ,
        n_fft=WINDOW_SAMPLES,
        n_mels=BANDS,
        fmin=LOWEST_HZ,
        fmax=HIGHEST_HZ,
        htk=False,
        norm="slaney",
        dtype=np.float64,
    )


def magnitudes(samples: Float64, padding: str = "zero") -> Float64:
    """[samples] -> [T, 401] STFT magnitudes, T = 1 + floor(samples / 200), centred.

    padding: what lies 400 samples before and after, "zero" or "reflect" (Wav2Lip family).
    """
    mode = {"zero": "constant", "reflect": "reflect"}[padding]
    padded = np.pad(samples, WINDOW_SAMPLES // 2, mode=mode)
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW_SAMPLES)[::HOP_SAMPLES]
    return np.abs(np.fft.rfft(frames * periodic_hann(), axis=1))


def normalise(mel: Float64) -> Float64:
    """Linear mel magnitudes -> -4..4."""
    db = 20.0 * np.log10(np.maximum(FLOOR, mel)) - REFERENCE_DB
    return np.clip(8.0 * (db + 100.0) / 100.0 - 4.0, -4.0, 4.0)


def log_mel(samples: npt.NDArray[np.floating], padding: str = "zero") -> Float64:
    """[samples] float at 16 kHz -> [T, 80] in -4..4."""
    if len(samples) == 0:
        return np.empty((0, BANDS))
    return normalise(magnitudes(pre_emphasis(samples), padding) @ bank().T)
