"""Makes the golden log-mel and resampling data of the audio tests with librosa.

Run it with tools/setup's Python from this folder: python make_golden.py
It reads speech.wav (kept here, see manifest.json), makes speechlike.wav, and writes the .npy files
and manifest.json. Nothing here is copied from a model's code: the steps are docs/numerics.md 1.
"""

import hashlib
import json
import pathlib
import platform
import wave

import librosa
import numpy as np
import scipy
import scipy.signal
import soxr

HERE = pathlib.Path(__file__).resolve().parent
RATE = 16_000


def read_wav(name: str) -> np.ndarray:
    with wave.open(str(HERE / name), "rb") as wav:
        assert (wav.getframerate(), wav.getnchannels(), wav.getsampwidth()) == (RATE, 1, 2)
        return np.frombuffer(wav.readframes(wav.getnframes()), "<i2") / 32768.0


def write_speechlike(name: str, samples: int) -> None:
    """Harmonics of a gliding pitch, in syllables, over noise from a 32-bit LCG with bursts."""
    state, noise = 12345, np.empty(samples)
    for i in range(samples):
        state = (1664525 * state + 1013904223) & 0xFFFFFFFF
        noise[i] = (state >> 8) / 2**23 - 1
    n = np.arange(samples)
    pitch_hz = 130 + 40 * np.sin(2 * np.pi * 0.7 * n / RATE)
    phase = np.cumsum(2 * np.pi * pitch_hz / RATE)
    voice = sum(np.sin(h * phase) / h for h in range(1, 36))
    syllable = 0.55 - 0.45 * np.cos(2 * np.pi * 3.1 * n / RATE)
    burst = np.where(n // 1600 % 4 == 3, 0.15, 0.01)
    pcm = np.round(32767 * np.clip(0.2 * voice * syllable + burst * noise, -1, 1)).astype("<i2")
    with wave.open(str(HERE / name), "wb") as wav:
        wav.setparams((1, 2, RATE, 0, "NONE", ""))
        wav.writeframes(pcm.tobytes())


def log_mel(signal: np.ndarray, pad_mode: str) -> np.ndarray:
    emphasised = scipy.signal.lfilter([1, -0.97], [1], signal)
    stft = librosa.stft(
        y=emphasised, n_fft=800, hop_length=200, win_length=800, center=True, pad_mode=pad_mode
    )
    bank = librosa.filters.mel(sr=RATE, n_fft=800, n_mels=80, fmin=55, fmax=7600)
    decibels = 20 * np.log10(np.maximum(1e-5, bank @ np.abs(stft))) - 20
    return np.clip(8 * (decibels + 100) / 100 - 4, -4, 4).T.astype(np.float32)


def main() -> None:
    write_speechlike("speechlike.wav", RATE)
    speech, speechlike = read_wav("speech.wav"), read_wav("speechlike.wav")
    arrays = {
        "speech_mel.npy": log_mel(speech, "constant"),
        "speechlike_mel.npy": log_mel(speechlike, "constant"),
        "speechlike_mel_reflect.npy": log_mel(speechlike, "reflect"),
        "speechlike_44100_to_16000.npy": librosa.resample(
            speechlike.astype(np.float32), orig_sr=44_100, target_sr=RATE, res_type="soxr_hq"
        ),
    }
    for name, array in arrays.items():
        np.save(HERE / name, np.ascontiguousarray(array))
    manifest = {
        "command": "python make_golden.py",
        "tools": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "scipy": scipy.__version__,
            "librosa": librosa.__version__,
            "soxr (Python)": soxr.__version__,
        },
        "tolerance": {
            "*_mel*.npy": "1e-4 on every frame: the nearest wrong variant is 0.027 off",
            "*_to_16000.npy": "1e-5: the same filter, another build of soxr",
        },
        "provenance": {
            "speech.wav": "LibriVox, 'Sense and Sensibility' chapter 1, public domain; samples "
            "8000..39999 of sense_and_sensibility_01_austen_64kb-0870.wav in Debian's "
            "pocketsphinx-testdata",
            "speechlike.wav": "made by make_golden.py",
        },
        "sha256": {
            name: hashlib.sha256((HERE / name).read_bytes()).hexdigest()
            for name in ["speech.wav", "speechlike.wav", *arrays]
        },
    }
    (HERE / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")


if __name__ == "__main__":
    main()
