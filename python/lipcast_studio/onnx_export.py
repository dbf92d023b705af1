"""PyTorch -> ONNX with fixed names and a dynamic batch, checked against each other."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .errors import StudioError
from .find_torch import find_torch
from .onnx_file import session

find_torch()

import torch  # noqa: E402

OPSET = 13
TOLERANCE = 1e-4


def export(model: torch.nn.Module, inputs: Sequence[torch.Tensor], names: Sequence[str], output: str, path: Path) -> float:
    """Writes `model` (in eval mode) and returns the largest difference between ONNX Runtime and PyTorch.

    StudioError when that is above 1e-4. inputs: one batch of real size, two or more so that the batch is seen to vary.
    """
    axes = {name: {0: "batch"} for name in [*names, output]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the tracer, about sizes that are fixed here
        torch.onnx.export(model, tuple(inputs), str(path), input_names=list(names), output_names=[output],
                          dynamic_axes=axes, opset_version=OPSET, do_constant_folding=True)  # fmt: skip
    run = session(path)
    worst = 0.0
    for count in (len(inputs[0]), 1):
        part = [value[:count] for value in inputs]
        with torch.no_grad():
            want = model(*part).numpy()
        got = run.run(None, {name: value.numpy() for name, value in zip(names, part, strict=True)})[0]
        worst = max(worst, float(np.abs(got - want).max()))
    if not worst <= TOLERANCE:
        raise StudioError(f"{path.name}: ONNX Runtime and PyTorch differ by {worst:.1e}, want at most {TOLERANCE}")
    return worst
