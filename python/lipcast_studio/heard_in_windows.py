"""How far HuBERT's features in windows, as a stream has them, are from those of the whole clip it was trained with."""

from __future__ import annotations

import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .onnx_file import session
from .sample_encoder import HUBERT_FRAMES, HUBERT_LEAD, HUBERT_SAMPLES, HUBERT_WIDTH, Float32, normalised

_FRAME_SAMPLES = 640


@dataclass(frozen=True)
class WindowLoss:
    """rms, rms_at_start: of the difference, in standard deviations of the whole clip's features; at_start: of the first
    window, which has silence before it. joint_steps: how much more than in the whole clip they move over a joint."""

    rms: float
    rms_at_start: float
    joint_steps: float

    def line(self) -> str:
        """For people."""
        return (
            f"its features in windows of {HUBERT_SAMPLES / 16_000:.0f} s are {self.rms:.2f} standard deviations from the whole"
            f" clip's ({self.rms_at_start:.2f} in the first {HUBERT_FRAMES / 25:g} s), and move {self.joint_steps:.2f} times as"
            " much over a joint (docs/numerics.md 5)"
        )


def _batch(value: Any, row: Float32) -> Float32:
    """[N, W]: the row as often as the network wants."""
    return np.repeat(row[None], value.shape[0] if isinstance(value.shape[0], int) else 1, axis=0)


def whole_clip(network: Path, samples: Float32) -> Float32:
    """The user's network on all samples [L] at once, as its training did: features [frames, 2048]."""
    run = session(network)
    (heard,) = run.get_inputs()
    named = [value.name for value in run.get_outputs() if len(value.shape) == 3 and value.shape[2] in (HUBERT_WIDTH, None)]
    tokens = run.run([named[0]], {heard.name: _batch(heard, normalised(samples[None])[0])})[0][0]
    count = min(len(tokens) // 2, len(samples) // _FRAME_SAMPLES)
    return np.asarray(tokens[: 2 * count].reshape(count, -1), np.float32)


def in_windows(encoder: Path, samples: Float32) -> Float32:
    """The package's audio encoder on windows as the engine cuts them, with silence around: features [frames, 2048]."""
    run = session(encoder)
    (heard,) = run.get_inputs()
    count = -(-len(samples) // (HUBERT_FRAMES * _FRAME_SAMPLES))
    padded = np.pad(samples, (HUBERT_LEAD, HUBERT_SAMPLES))
    begins = [i * HUBERT_FRAMES * _FRAME_SAMPLES for i in range(count)]
    windows = [padded[at : at + HUBERT_SAMPLES] for at in begins]
    features = [run.run(None, {heard.name: _batch(heard, window)})[0][0] for window in windows]
    return np.concatenate(features)


def window_loss(network: Path, encoder: Path, samples: Float32) -> WindowLoss:
    """On samples [L] at 16 kHz, a second at least; the network takes any length."""
    whole = whole_clip(network, samples)
    heard = in_windows(encoder, samples)[: len(whole)]
    spread = float(np.sqrt(((whole - whole.mean(0)) ** 2).mean())) or 1.0
    error = ((heard - whole) ** 2).mean(1)
    joints = np.arange(HUBERT_FRAMES, len(whole), HUBERT_FRAMES)
    own, ours = (float(((f[joints] - f[joints - 1]) ** 2).sum()) for f in (whole, heard))
    return WindowLoss(
        float(np.sqrt(error.mean())) / spread,
        float(np.sqrt(error[:HUBERT_FRAMES].mean())) / spread,
        float(np.sqrt(ours / own)) if own > 0 else 1.0,
    )


def told(network: Path, encoder: Path, speech: Path) -> str:
    """The loss on a package's speech.wav, or why it is not known; for people."""
    length = session(network).get_inputs()[0].shape[1]
    if isinstance(length, int):
        return f"not compared with whole clips: {network.name} takes {length} samples and no other number"
    if not speech.is_file():
        return "not compared with whole clips: there is no speech to compare on (speech.wav or aud.wav in the folder)"
    with wave.open(str(speech)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768
    return window_loss(network, encoder, samples).line()
