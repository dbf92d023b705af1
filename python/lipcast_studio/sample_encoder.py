"""A user's HuBERT or WeNet in ONNX -> the package's audio encoder: samples [N,W] -> features [N,K,F] of K frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, compose, helper, numpy_helper

from . import fbank
from .errors import StudioError
from .onnx_file import session

Say = Callable[[str], None]
Float32 = npt.NDArray[np.float32]

# HuBERT: tokens of 400 samples every 320, two of them a frame. A window is 2 s, of which 1.28 s lie before its 10
# frames and 0.32 s behind: the network hears whole clips, and a stream has none. More before brings nothing
# (docs/numerics.md 5).
HUBERT_FRAMES, HUBERT_LEAD, _HUBERT_TAIL = 10, 20_480, 5_200
HUBERT_SAMPLES = HUBERT_LEAD + HUBERT_FRAMES * 640 + _HUBERT_TAIL
HUBERT_WIDTH = 1024
_QUIETEST = 0.01  # of the level a window is brought to 1 from; silence is not blown up
# WeNet: 67 filterbank frames a window, one window a frame of 50 ms. Its caches hold nothing.
_WENET_FRAMES, _WENET_SHAPE = 67, (16, 512)
_WENET_SAMPLES = (_WENET_FRAMES - 1) * fbank.STEP + fbank.FRAME
_WENET_OFFSET = 100
_WENET_CACHES = {"att_cache": (3, 8, 16, 128), "cnn_cache": (3, 1, 512, 14)}
_TOLERANCE = 1e-3


class _Graph:
    """The user's network with nodes of ours around it. Only operators that mean the same in every opset from 13 on."""

    def __init__(self, source: Path) -> None:
        try:
            model = onnx.load(str(source))
        except Exception as error:
            raise StudioError(f"{source}: not an ONNX file that can be read whole: {error}") from None
        self.source = source
        self.inputs, self.outputs = list(model.graph.input), list(model.graph.output)
        stored = {value.name for value in model.graph.initializer}
        self.inputs = [value for value in self.inputs if value.name not in stored]
        self.model = compose.add_prefix(model, "network/")
        self.before: list[onnx.NodeProto] = []
        self.after: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: npt.ArrayLike, dtype: type, name: str | None = None) -> str:
        name = name or f"constant/{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def add(self, kind: str, *inputs: str, into: list[onnx.NodeProto], output: str | None = None, **values: Any) -> str:
        name = output or f"value/{len(self.before)}/{len(self.after)}"
        into.append(helper.make_node(kind, list(inputs), [name], **values))
        return name

    def save(self, target: Path, batch: int | str, samples: int, features: Sequence[int]) -> None:
        graph = self.model.graph
        nodes = [*self.before, *graph.node, *self.after]
        made = helper.make_graph(
            nodes,
            "audio_encoder",
            [helper.make_tensor_value_info("samples", TensorProto.FLOAT, [batch, samples])],
            [helper.make_tensor_value_info("features", TensorProto.FLOAT, [batch, *features])],
            [*graph.initializer, *self.constants],
        )
        whole = helper.make_model(
            made, opset_imports=self.model.opset_import, functions=list(self.model.functions), producer_name="lipcast"
        )
        whole.ir_version = self.model.ir_version
        try:
            onnx.save(whole, str(target))
        except ValueError as error:  # protobuf's 2 GiB
            raise StudioError(f"{self.source}: too large for one file: {error}") from None


def _dims(value: onnx.ValueInfoProto) -> list[int | None]:
    return [d.dim_value if d.HasField("dim_value") else None for d in value.type.tensor_type.shape.dim]


def _shown(values: Sequence[onnx.ValueInfoProto]) -> str:
    return ", ".join(f"{v.name} {['N' if d is None else d for d in _dims(v)]}" for v in values)


def _refuse(graph: _Graph, wanted: str) -> StudioError:
    return StudioError(f"{graph.source}: {_shown(graph.inputs)} -> {_shown(graph.outputs)}, want {wanted}")


def normalised(samples: Float32) -> Float32:
    """[N, W] as HuBERT's own preparation levels them: mean 0, deviation 1, of each window."""
    centred = samples - samples.mean(axis=1, keepdims=True)
    deviation = np.maximum(np.sqrt((centred**2).mean(axis=1, keepdims=True)), _QUIETEST)
    return np.asarray(centred / deviation, np.float32)


def write_hubert(source: Path, target: Path, say: Say) -> None:
    """The network takes [N, samples] at 16 kHz and gives [N, tokens, 1024]."""
    graph = _Graph(source)
    length = HUBERT_SAMPLES
    shapes = [_dims(value) for value in graph.inputs]
    last = [value for value in graph.outputs if len(_dims(value)) == 3 and _dims(value)[2] in (HUBERT_WIDTH, None)]
    if len(shapes) != 1 or len(shapes[0]) != 2 or shapes[0][1] not in (None, length) or not last:
        raise _refuse(graph, f"HuBERT with samples [N, any or {length}] -> tokens [N, T, {HUBERT_WIDTH}]")
    batch = shapes[0][0] or "batch"
    pre, post = graph.before, graph.after
    even = graph.constant(np.full((length, 1), 1 / length), np.float32)
    centred = graph.add("Sub", "samples", graph.add("MatMul", "samples", even, into=pre), into=pre)
    power = graph.add("MatMul", graph.add("Mul", centred, centred, into=pre), even, into=pre)
    level = graph.add("Max", graph.add("Sqrt", power, into=pre), graph.constant(_QUIETEST, np.float32), into=pre)
    graph.add("Div", centred, level, into=pre, output=f"network/{graph.inputs[0].name}")
    first = HUBERT_LEAD // 320
    ends = [graph.constant([value], np.int64) for value in (first, first + 2 * HUBERT_FRAMES, 1)]
    own = graph.add("Slice", f"network/{last[0].name}", *ends, into=post)
    features = (HUBERT_FRAMES, 2 * HUBERT_WIDTH)
    shape = graph.constant([-1 if batch == "batch" else batch, *features], np.int64)
    graph.add("Reshape", own, shape, into=post, output="features")
    graph.save(target, batch, length, features)

    def alone(samples: Float32) -> Float32:
        found = session(source).run([last[0].name], {graph.inputs[0].name: normalised(samples)})[0]
        if found.shape[1] < first + 2 * HUBERT_FRAMES:
            raise StudioError(f"{source}: {found.shape[1]} tokens of {length} samples, want one every 320")
        return np.asarray(found[:, first : first + 2 * HUBERT_FRAMES].reshape(-1, *features))

    worst = _compare(target, alone, batch, length)
    say(f"audio encoder: {source.name} (HuBERT), heard in windows of {length / 16000:.2f} s; differs by at most {worst:.1e}")


def write_wenet(source: Path, target: Path, say: Say) -> None:
    """The network takes 67 filterbank frames of 80 bands with two caches and an offset, and gives [1, 16, 512]."""
    graph = _Graph(source)
    chunk = [_WENET_FRAMES, fbank.BANDS]
    heard = [value for value in graph.inputs if value.name == "chunk" or _dims(value)[-2:] == chunk]
    given = [value for value in graph.outputs if _dims(value)[-2:] == list(_WENET_SHAPE) or value is graph.outputs[0]]
    others = {value.name: value for value in graph.inputs if value not in heard}
    if len(heard) != 1 or not set(others) <= {"offset", *_WENET_CACHES}:
        raise _refuse(graph, "WeNet's encoder with chunk [1, 1, 67, 80], offset, att_cache, cnn_cache -> [1, 16, 512]")
    feeds: dict[str, npt.NDArray[np.generic]] = {}
    for name in others:
        if name == "offset":
            feeds[name] = np.full([d or 1 for d in _dims(others[name])], _WENET_OFFSET, np.int64)
        else:
            fixed = [d or known for d, known in zip(_dims(others[name]), _WENET_CACHES[name], strict=False)]
            feeds[name] = np.zeros(fixed, np.float32)
        graph.constants.append(numpy_helper.from_array(feeds[name], f"network/{name}"))
    pre, post = graph.before, graph.after
    scaled = graph.add("Mul", "samples", graph.constant(32767, np.float32), into=pre)
    whole = graph.add("Cast", scaled, into=pre, to=TensorProto.INT32)
    pcm = graph.add("Cast", whole, into=pre, to=TensorProto.FLOAT)
    index = np.arange(_WENET_FRAMES)[:, None] * fbank.STEP + np.arange(fbank.FRAME)
    frames = graph.add("Gather", pcm, graph.constant(index, np.int64), into=pre, axis=1)
    parts = [graph.add("MatMul", frames, graph.constant(part, np.float32), into=pre) for part in fbank.spectrum()]
    squares = [graph.add("Mul", part, part, into=pre) for part in parts]
    power = graph.add("Add", *squares, into=pre)
    energies = graph.add("MatMul", power, graph.constant(fbank.bank(), np.float32), into=pre)
    floored = graph.add("Max", energies, graph.constant(fbank.FLOOR, np.float32), into=pre)
    chunk_shape = [1] * (len(_dims(heard[0])) - 2) + [_WENET_FRAMES, fbank.BANDS]
    logs = graph.add("Log", floored, into=pre)
    graph.add("Reshape", logs, graph.constant(chunk_shape, np.int64), into=pre, output=f"network/{heard[0].name}")
    features = (1, int(np.prod(_WENET_SHAPE)))
    shape = graph.constant([1, *features], np.int64)
    graph.add("Reshape", f"network/{given[0].name}", shape, into=post, output="features")
    graph.save(target, 1, _WENET_SAMPLES, features)

    def alone(samples: Float32) -> Float32:
        bands = fbank.fbank(samples[0]).astype(np.float32).reshape(chunk_shape)
        found = session(source).run([given[0].name], {heard[0].name: bands, **feeds})[0]
        if found.size != np.prod(_WENET_SHAPE):
            raise StudioError(f"{source}: gives {list(found.shape)}, want [1, 16, 512]")
        return np.asarray(found.reshape(1, *features))

    worst = _compare(target, alone, 1, _WENET_SAMPLES)
    say(f"audio encoder: {source.name} (WeNet) with its filterbank before it; differs by at most {worst:.1e}")


def _compare(target: Path, alone: Callable[[Float32], Float32], batch: int | str, length: int) -> float:
    """The largest difference between the composed file and the network alone, of their largest value."""
    count = batch if isinstance(batch, int) else 2
    run = session(target)
    worst = 0.0
    for level in (0.1, 0.0):
        samples = np.random.default_rng(1).normal(0, 1, (count, length)).clip(-4, 4).astype(np.float32) * np.float32(level)
        want = alone(samples)
        got = run.run(None, {"samples": samples})[0]
        if got.shape != want.shape or not np.isfinite(want).all():
            raise StudioError(f"{target.name}: features of shape {list(got.shape)} or not finite, want {list(want.shape)}")
        worst = max(worst, float(np.abs(got - want).max() / max(1.0, float(np.abs(want).max()))))
    if not worst <= _TOLERANCE:
        raise StudioError(f"{target.name}: the network alone and in its place differ by {worst:.1e}, want at most {_TOLERANCE}")
    return worst
