"""The demo's networks as ONNX, and what PyTorch made of a few inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from ..training.nets import AudioEncoder, Generator
from ..training.networks import export_networks


def export_models(encoder: AudioEncoder, generator: Generator, mel: np.ndarray, picture: np.ndarray, folder: Path) -> None:
    """Writes audio_encoder.onnx, generator.onnx and truth/network_io.npz (inputs, and what PyTorch made of them).

    mel [3,1,80,16], picture [2,6,160,160]. Raises when ONNX Runtime differs by more than 1e-4.
    """
    encoder.eval()
    generator.eval()
    rng = np.random.default_rng(7)
    with torch.no_grad():
        features = encoder(torch.from_numpy(mel))
        rows = features.numpy()[rng.integers(0, len(mel), (len(picture), 16))] * rng.uniform(0.5, 1.5, (2, 16, 1))
        rows = rows.astype(np.float32)
        audio = rows.reshape(-1, 32, 16, 16)
        output = generator(torch.from_numpy(picture), torch.from_numpy(audio)).numpy()
    export_networks(encoder, generator, mel, picture, rows, folder)
    (folder / "truth").mkdir(exist_ok=True)
    np.savez_compressed(
        folder / "truth" / "network_io.npz", mel=mel, features=features.numpy(), rows=rows,
        picture=np.round(picture * 255).astype(np.uint8), output=output,
    )  # fmt: skip
