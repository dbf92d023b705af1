"""Mel: the formula against librosa's own operators, and how far the wrong variants lie."""

from __future__ import annotations

import librosa
import numpy as np
import numpy.typing as npt
import pytest
import scipy.signal

from parity import mel


def speech_like(samples: int, seed: int = 7) -> npt.NDArray[np.float32]:
    """[samples] float32: a buzzing, moving vowel over noise, loud enough to be off the floor."""
    rng = np.random.default_rng(seed)
    t = np.arange(samples) / mel.SAMPLE_RATE_HZ
    pitch = 120 + 30 * np.sin(2 * np.pi * 1.7 * t)
    buzz = np.sign(np.sin(2 * np.pi * np.cumsum(pitch) / mel.SAMPLE_RATE_HZ))
    loud = 0.5 + 0.5 * np.sin(2 * np.pi * 3.1 * t)
    return (0.3 * buzz * loud + 0.01 * rng.standard_normal(samples)).astype(np.float32)


def by_librosa(
    x: npt.NDArray[np.float32],
    window: str = "hann",
    pad: str = "constant",
    lowest_hz: float = 55.0,
    highest_hz: float = 7600.0,
) -> npt.NDArray[np.float64]:
    """The same contract spelt with librosa and scipy operators. [T, 80]."""
    y = scipy.signal.lfilter([1.0, -0.97], [1.0], x.astype(np.float64))
    stft = np.abs(librosa.stft(y, n_fft=800, hop_length=200, win_length=800, window=window, center=True, pad_mode=pad))
    bank = librosa.filters.mel(sr=16000, n_fft=800, n_mels=80, fmin=lowest_hz, fmax=highest_hz)
    db = 20 * np.log10(np.maximum(1e-5, bank @ stft)) - 20
    return np.clip(8 * (db + 100) / 100 - 4, -4, 4).T


@pytest.mark.parametrize("samples", [1, 399, 400, 800, 3200, 16123])
def test_mel_equals_librosa_operators(samples: int) -> None:
    x = speech_like(samples)
    got = mel.log_mel(x)
    assert got.shape == (1 + samples // 200, 80)
    np.testing.assert_allclose(got, by_librosa(x), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        ("symmetric Hann", {"window": scipy.signal.get_window("hann", 800, fftbins=False)}),
        ("reflect padding", {"pad": "reflect"}),
        ("0..8000 Hz bank", {"lowest_hz": 0.0, "highest_hz": 8000.0}),
    ],
)
def test_a_wrong_variant_lies_far_outside_the_tolerance(name: str, kwargs: dict) -> None:
    x = speech_like(16000)
    assert np.abs(mel.log_mel(x) - by_librosa(x, **kwargs)).max() > 20e-4, name


def test_reflect_padding_equals_librosas() -> None:
    x = speech_like(4000)
    np.testing.assert_allclose(mel.log_mel(x, "reflect"), by_librosa(x, pad="reflect"), atol=1e-5)


def test_silence_lies_on_the_floor_and_no_samples_give_no_frames() -> None:
    assert (mel.log_mel(np.zeros(3200, np.float32)) == -4).all()
    assert mel.log_mel(np.empty(0, np.float32)).shape == (0, 80)


def test_resampling_keeps_the_length_of_the_sound() -> None:
    x = speech_like(16000)
    for rate_hz in (8000, 22050, 44100, 96000):
        assert len(mel.to_model_rate(x, rate_hz)) == pytest.approx(16000 * 16000 / rate_hz, abs=1)
