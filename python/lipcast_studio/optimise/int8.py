"""A network's twin in 8 bits, and what it loses.

ONNX QDQ: activations 8 bits unsigned, weights 7 bits signed in 8, per channel. The eighth bit would
overflow in processors without VNNI, which add pairs of products in 16 bits: with seven every
processor draws the same. Layers that the loss comes from stay in full.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
from onnx import TensorProto, version_converter
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from lipcast_studio.optimise.split import PRODUCER, RefusedError

Array = np.ndarray[Any, Any]
Feed = dict[str, Array]
# What lies between convolutions is taken along, so that they hand 8 bits to one another; an enlargement or a sigmoid in
# 8 bits gains no time and costs quality.
QUANTISED = ["Conv", "Gemm", "MatMul", "Relu", "Add", "Concat", "MaxPool"]
OPSET = 13  # the first with a scale for each channel
WORTH_DB = 0.5  # a layer stays in full where that gains at least this


@dataclass(frozen=True)
class Loss:
    """Against the network in full, over frames that the twin was not calibrated on, inside the mask."""

    psnr_db: float
    ssim: float
    mouth_opening: float  # 1 - correlation of how the mouth moves


@dataclass(frozen=True)
class Twin:
    """The network, and the names of the layers that stay in full."""

    model: onnx.ModelProto
    in_full: tuple[str, ...]


class _Reader(CalibrationDataReader):
    def __init__(self, feeds: Iterable[Feed]) -> None:
        self._rest: Iterator[Feed] = iter(feeds)

    def get_next(self) -> Feed | None:
        return next(self._rest, None)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without ONNX Runtime's advice to preprocess: what it would do is done."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _prepared(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy that can be quantised: every node has a name, the opset knows scales for each channel."""
    if any(t.data_type == TensorProto.FLOAT16 for t in model.graph.initializer):
        raise RefusedError("its weights are in half precision: want float32 for a twin in 8 bits")
    own = {o.domain: o.version for o in model.opset_import}
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    if own.get("", OPSET) < OPSET:
        try:
            copy = version_converter.convert_version(copy, OPSET)
        except Exception as error:
            raise RefusedError(f"opset {own['']} cannot be raised to {OPSET} for a twin in 8 bits: {error}") from None
    for number, node in enumerate(copy.graph.node):
        node.name = f"{node.op_type}_{number}"
    return copy


def _quantised(model: onnx.ModelProto, feeds: Iterable[Feed], in_full: Sequence[str]) -> onnx.ModelProto:
    with tempfile.TemporaryDirectory(prefix="lipcast-int8-") as folder, _quiet():
        source, target = Path(folder) / "full.onnx", Path(folder) / "int8.onnx"
        source.write_bytes(model.SerializeToString())
        quantize_static(
            str(source),
            str(target),
            _Reader(feeds),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=QUANTISED,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=list(in_full),
            calibration_providers=["CPUExecutionProvider"],
        )
        twin = onnx.load_from_string(target.read_bytes())
    twin.producer_name, twin.producer_version = PRODUCER, ""
    return twin


def candidates(model: onnx.ModelProto) -> list[str]:
    """Layers worth leaving in full: the last convolution, and those that take the sound or a kept feature first."""
    graph = model.graph
    convs = [node for node in graph.node if node.op_type in ("Conv", "Gemm", "MatMul")]
    inputs = {value.name for value in graph.input}
    first = [node.name for node in convs if node.input[0] in inputs]
    return list(dict.fromkeys([convs[-1].name, *first])) if convs else []


def make_twin(model: onnx.ModelProto, feeds: Callable[[], Iterable[Feed]], psnr: Callable[[onnx.ModelProto], float]) -> Twin:
    """Calibrated on `feeds`, made anew each time, as kept features are large; `psnr` says how near a twin comes."""
    named = _prepared(model)
    in_full: list[str] = []
    best = _quantised(named, feeds(), in_full)
    reached = psnr(best)
    for name in candidates(named):
        other = _quantised(named, feeds(), [*in_full, name])
        found = psnr(other)
        if found >= reached + WORTH_DB:
            in_full, best, reached = [*in_full, name], other, found
    return Twin(best, tuple(in_full))


def psnr_db(got: Array, wanted: Array) -> float:
    """Of pictures 0..1, at most 100."""
    error = float(((got.astype(np.float64) - wanted) ** 2).mean())
    return min(100.0, -10 * float(np.log10(max(error, 1e-10))))


def _ssim(a: Array, b: Array) -> float:
    """Of two pictures [3,H,W] 0..1, on their gray, by Wang et al.: Gaussian 11 x 11, sigma 1.5."""

    def blur(x: Array) -> Array:
        return np.asarray(cv2.GaussianBlur(x, (11, 11), 1.5))

    x, y = a.mean(axis=0).astype(np.float64), b.mean(axis=0).astype(np.float64)
    mx, my = blur(x), blur(y)
    spreads: Array = blur(x * x) - mx * mx + blur(y * y) - my * my
    both: Array = blur(x * y) - mx * my
    return float((((2 * mx * my + 1e-4) * (2 * both + 9e-4)) / ((mx * mx + my * my + 1e-4) * (spreads + 9e-4))).mean())


def movement(still_wanted: Array, still_got: Array) -> float:
    """1 - correlation of how the mouth moves in pictures [n,3,H,W] of one frame with many sounds.

    The greatest common movement of the pictures in full (their first principal component) is the
    mouth opening: nothing else moves in them. Both tracks are read along it.
    """
    wanted = still_wanted.reshape(len(still_wanted), -1).astype(np.float64)
    middle = wanted.mean(axis=0)
    axis = np.linalg.svd(wanted - middle, full_matrices=False)[2][0]
    a = (wanted - middle) @ axis
    b = (still_got.reshape(len(still_got), -1) - middle) @ axis
    if a.std() < 1e-9 or b.std() < 1e-9:
        return 0.0 if np.allclose(a, b, atol=1e-6) else 1.0
    return 1 - float(np.corrcoef(a, b)[0, 1])


def loss(wanted: Array, got: Array, still_wanted: Array, still_got: Array) -> Loss:
    """wanted, got: [n,3,H,W] of held-out frames; still_*: of one frame."""
    ssim = float(np.mean([_ssim(a, b) for a, b in zip(wanted, got, strict=True)]))
    return Loss(round(psnr_db(got, wanted), 2), round(ssim, 5), round(movement(still_wanted, still_got), 5))


def figures_of(twin: Twin, found: Loss, sound: str) -> dict[str, Any]:
    """For optimise.json."""
    return {"calibrated_on": sound, "in_full": list(twin.in_full), "loss": asdict(found)}
