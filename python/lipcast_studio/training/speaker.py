"""Runs an avatar's two exported models over speech as the engine does, without the engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..onnx_file import session
from .mel import FPS, RATE_HZ, contexts, windows
from .picture import Picture, network_input, of_output


class Speaker:
    """The models of a package and the inner pictures [S,S,3] that they draw on, in turn."""

    def __init__(self, folder: Path, inner: Sequence[Picture]) -> None:
        self.encoder = session(folder / "audio_encoder.onnx")
        self.generator = session(folder / "generator.onnx")
        self.inner = inner

    def speak(self, wave: npt.NDArray[np.float32]) -> Iterator[Picture]:
        """wave [L] at 16 kHz -> inner pictures, ceil(seconds * 25) of them."""
        count = -(-len(wave) * FPS // RATE_HZ)
        mel_name = self.encoder.get_inputs()[0].name
        picture_name, audio_name = (value.name for value in self.generator.get_inputs())
        features = self.encoder.run(None, {mel_name: windows(wave)})[0]
        for i, context in enumerate(contexts(features, count)):
            picture = network_input(self.inner[i % len(self.inner)])[None]
            yield of_output(self.generator.run(None, {picture_name: picture, audio_name: context[None]})[0][0])
