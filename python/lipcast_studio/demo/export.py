"""PyTorch -> ONNX with batch norm folded, dynamic batch, and a check of both against each other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import torch

from .nets import AudioEncoder, Generator

OPSET = 13


def _export(model: torch.nn.Module, inputs: tuple[torch.Tensor, ...], names: list[str], output: str, path: Path) -> None:
    axes = {name: {0: "batch"} for name in [*names, output]}
    torch.onnx.export(model, inputs, str(path), input_names=names, output_names=[output], dynamic_axes=axes,
                      opset_version=OPSET, do_constant_folding=True)  # fmt: skip


def session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


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
    _export(encoder, (torch.from_numpy(mel),), ["mel"], "features", folder / "audio_encoder.onnx")
    _export(generator, (torch.from_numpy(picture), torch.from_numpy(audio)), ["input", "audio"], "output",
            folder / "generator.onnx")  # fmt: skip
    got = session(folder / "audio_encoder.onnx").run(None, {"mel": mel})[0]
    np.testing.assert_allclose(got, features.numpy(), atol=1e-4)
    got = session(folder / "generator.onnx").run(None, {"input": picture, "audio": audio})[0]
    np.testing.assert_allclose(got, output, atol=1e-4)
    (folder / "truth").mkdir(exist_ok=True)
    np.savez_compressed(
        folder / "truth" / "network_io.npz", mel=mel, features=features.numpy(), rows=rows,
        picture=np.round(picture * 255).astype(np.uint8), output=output,
    )  # fmt: skip
