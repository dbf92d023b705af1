"""From weights to networks to ONNX, and back from an avatar's ONNX to the networks that training goes on from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from ..errors import StudioError
from ..find_torch import find_torch
from ..onnx_export import export

find_torch()

import torch  # noqa: E402

from .image_stage import Size  # noqa: E402
from .nets import AudioBranch, AudioEncoder, Generator, ImageNet  # noqa: E402

Weights = Mapping[str, torch.Tensor]
Floats = npt.NDArray[np.float32]


def _under(weights: Weights, prefix: str) -> dict[str, torch.Tensor]:
    return {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}


def audio_networks(weights: Weights) -> tuple[AudioEncoder, AudioBranch]:
    """What the audio stage trained, in eval mode."""
    encoder, branch = AudioEncoder(), AudioBranch()
    encoder.load_state_dict(_under(weights, "encoder."))
    branch.load_state_dict(_under(weights, "branch."))
    return encoder.eval(), branch.eval()


def image_network(weights: Weights, size: Size) -> ImageNet:
    """What the image stage trained, in eval mode."""
    net = ImageNet(size.widths)
    net.load_state_dict(dict(weights))
    net.eval()
    return net


def export_networks(encoder: AudioEncoder, generator: Generator, mel: Floats, picture: Floats, rows: Floats,
                    folder: Path) -> float:  # fmt: skip
    """Writes audio_encoder.onnx and generator.onnx; returns the largest difference of ONNX Runtime from PyTorch.

    mel [m,1,80,16], picture [n,6,S,S], rows [n,16,512], two or more of each. StudioError above 1e-4.
    """
    audio = torch.from_numpy(rows).reshape(-1, 32, 16, 16)
    heard = export(encoder, [torch.from_numpy(mel)], ["mel"], "features", folder / "audio_encoder.onnx")
    inputs = [torch.from_numpy(picture), audio]
    return max(heard, export(generator, inputs, ["input", "audio"], "output", folder / "generator.onnx"))


def _initialisers(path: Path) -> tuple[onnx.GraphProto, dict[str, Floats]]:
    graph = onnx.load(str(path)).graph
    return graph, {value.name: np.array(numpy_helper.to_array(value), np.float32) for value in graph.initializer}


def networks_of(folder: Path) -> tuple[AudioEncoder, AudioBranch]:
    """The audio networks of an avatar that was made by this package, as a start for another's.

    The export folded each BatchNorm into its convolution; here it is an identity that carries the bias.
    StudioError where the avatar's networks are of another make.
    """
    encoder, branch = AudioEncoder(), AudioBranch()
    try:
        graph, found = _initialisers(folder / "audio_encoder.onnx")
        convolutions = [node for node in graph.node if node.op_type == "Conv"]
        layers = [*encoder.two_d, *encoder.one_d]
        places = [i for i, layer in enumerate(layers) if isinstance(layer, (torch.nn.Conv2d, torch.nn.Conv1d))]
        state: dict[str, torch.Tensor] = {}
        for place, node in zip(places, convolutions, strict=True):
            layers[place].weight.data.copy_(torch.from_numpy(found[node.input[1]]))
            norm = layers[place + 1]
            norm.running_var.fill_(1 - norm.eps)
            norm.bias.data.copy_(torch.from_numpy(found[node.input[2]]))
        encoder.out.weight.data.copy_(torch.from_numpy(found["out.weight"]))
        encoder.out.bias.data.copy_(torch.from_numpy(found["out.bias"]))
        graph, found = _initialisers(folder / "generator.onnx")
        state = {key: torch.from_numpy(value) for key, value in found.items() if key.startswith("branch.")}
        state = _under(state, "branch.")
        (narrow,) = (n.input[1] for n in graph.node if n.op_type == "MatMul" and "/branch/narrow/" in n.output[0])
        branch.load_state_dict({**state, "narrow.weight": torch.from_numpy(found[narrow].T.copy())})
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        first = (str(error).splitlines() or [""])[0]
        raise StudioError(f"{folder}: not an avatar whose training can be gone on from ({first})") from None
    return encoder.eval(), branch.eval()
