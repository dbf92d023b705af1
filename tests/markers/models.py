"""Tiny ONNX models whose work can be read from their output. Opset 13, IR version 8.

Generators take input [N,6,S,S] and audio [N,32,16,16] and give output [N,3,S,S]:
  M1      returns its unmasked input: the paste must be invisible.
  M2      paints the mask with the loudness of the audio row that is the frame's own window.
  M3      returns NaN, Inf, -1 or 2 where that loudness is above a threshold, else its input.
  M4      M1 after matrix products that take a set time.
  random  a small U-Net with seeded weights: every input pixel and audio row counts.
Encoders take mel [N,1,80,16] and give features [N,512]:
  mean    the mean of the window in every feature, 0 (silence) .. 1.
  onset   the same of the window's first 4 mel frames only, the frame's own 40 ms.
  random  a seeded linear layer and ReLU.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 13
IR_VERSION = 8
CENTRE_ROW = 9  # of the 16 context rows i-8..i+7; row i+1 is the window of frame i
MASK = (5, 5, 150, 145)  # x, y, width, height at 160 px

Float32 = npt.NDArray[np.float32]
Names = tuple[str, str, str]
BAD_VALUES = {"nan": np.nan, "inf": np.inf, "-inf": -np.inf, "-1": -1.0, "2": 2.0}


@dataclass
class Graph:
    """Collects nodes and constants; every helper returns the name of its value."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def constant(self, values: npt.ArrayLike, dtype: type = np.float32) -> str:
        """A stored tensor."""
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def node(
        self, kind: str, *inputs: str, output: str | None = None, **attributes: object
    ) -> str:
        """One operator with one output."""
        name = output or f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def model(
        self,
        inputs: dict[str, Sequence[int | str]],
        outputs: dict[str, Sequence[int | str]],
        element: int = TensorProto.FLOAT,
    ) -> onnx.ModelProto:
        """Closes the graph."""
        graph = helper.make_graph(
            self.nodes,
            "marker",
            [helper.make_tensor_value_info(n, element, s) for n, s in inputs.items()],
            [helper.make_tensor_value_info(n, element, s) for n, s in outputs.items()],
            self.constants,
        )
        model = helper.make_model(
            graph,
            producer_name="lipcast-markers",
            opset_imports=[helper.make_opsetid("", OPSET)],
        )
        model.ir_version = IR_VERSION
        onnx.checker.check_model(model)
        return model


def _batch(batch: int | None) -> int | str:
    return "N" if batch is None else batch


def encoder(
    kind: str = "mean",
    *,
    batch: int | None = None,
    names: tuple[str, str] = ("mel", "features"),
    seed: int = 5,
) -> onnx.ModelProto:
    """An audio encoder: mel [N,1,80,16] -> features [N,512]. batch None = dynamic."""
    g, n = Graph(), _batch(batch)
    if kind == "random":
        rng = np.random.default_rng(seed)
        flat = g.node("Flatten", names[0], axis=1)
        weight = g.constant(rng.normal(0, 1 / np.sqrt(1280), (1280, 512)))
        g.node("Relu", g.node("MatMul", flat, weight), output=names[1])
    elif kind in ("mean", "onset"):
        value = names[0]
        if kind == "onset":
            value = g.node(
                "Slice",
                value,
                *(g.constant([number], np.int64) for number in (0, 4, 3)),
            )
        mean = g.node(
            "ReduceMean", g.node("Flatten", value, axis=1), axes=[1], keepdims=1
        )
        level = g.node("Mul", g.node("Add", mean, g.constant(4.0)), g.constant(0.125))
        spread = g.node("MatMul", level, g.constant(np.ones((1, 512))))
        g.node("Relu", spread, output=names[1])
    else:
        raise ValueError(f"encoder {kind}: want mean, onset or random")
    return g.model({names[0]: [n, 1, 80, 16]}, {names[1]: [n, 512]})


# What a frame hears, by audio kind; of models that hear samples also the window: samples, features
# it gives, values of a feature, and how many samples lie behind its last frame.
SOUNDS = {
    "ave": (32, 16, 16),
    "mel": (1, 80, 16),
    "hubert": (32, 32, 32),
    "wenet": (256, 16, 32),
}
SAMPLE_WINDOWS = {"hubert": (16080, 5, 2048, 5200), "wenet": (10960, 1, 8192, 5040)}


def sample_encoder(
    kind: str, *, batch: int | None = None, seed: int = 9
) -> onnx.ModelProto:
    """[N, W] -> [N, K, F]: tokens of 400 samples every 320 (every 800 of WeNet's), as HuBERT makes them.

    A feature depends on the tokens of its own frame alone (hubert), or on the whole window (wenet).
    """
    samples, features, values, tail = SAMPLE_WINDOWS[kind]
    g, n, rng = Graph(), _batch(batch), np.random.default_rng(seed)
    step, each = (320, 2) if kind == "hubert" else (800, (samples - 400) // 800 + 1)
    first = (samples - tail - features * 640) // 320 if kind == "hubert" else 0
    weight = g.constant(rng.normal(0, 1 / 4, (8, 1, 400)))
    line = g.node("Unsqueeze", "samples", g.constant([1], np.int64))
    tokens = g.node("Relu", g.node("Conv", line, weight, strides=[step]))
    ends = [g.constant([v], np.int64) for v in (first, first + each * features, 2)]
    own = g.node("Slice", tokens, *ends)
    rows = g.node("Transpose", own, perm=[0, 2, 1])
    shape = g.constant([-1, features, each * 8], np.int64)
    mix = g.constant(rng.normal(0, 1 / np.sqrt(each * 8), (each * 8, values)))
    g.node("MatMul", g.node("Reshape", rows, shape), mix, output="features")
    return g.model({"samples": [n, samples]}, {"features": [n, features, values]})


def _unmasked(g: Graph, image: str, output: str | None = None) -> str:
    begin, end, axis = (g.constant([v], np.int64) for v in (0, 3, 1))
    return g.node("Slice", image, begin, end, axis, output=output)


def _loudness(g: Graph, audio: str) -> str:
    """[N,32,16,16] -> [N,1,1,1]: the mean of the frame's own row."""
    rows = g.node("Reshape", audio, g.constant([-1, 16, 512], np.int64))
    begin, end, axis = (
        g.constant([v], np.int64) for v in (CENTRE_ROW, CENTRE_ROW + 1, 1)
    )
    row = g.node("Slice", rows, begin, end, axis)
    mean = g.node("ReduceMean", row, axes=[1, 2], keepdims=1)
    return g.node("Unsqueeze", mean, g.constant([3], np.int64))


def _mask(g: Graph, inner_px: int, mask: tuple[int, int, int, int]) -> str:
    """[1,1,S,S], 1 inside the mask, made of two short vectors."""
    x, y, width, height = mask
    row, column = np.zeros((1, 1, inner_px, 1)), np.zeros((1, 1, 1, inner_px))
    row[0, 0, y : y + height], column[0, 0, 0, x : x + width] = 1, 1
    return g.node("Mul", g.constant(row), g.constant(column))


def _m2(g: Graph, names: Names, inner_px: int, mask: tuple[int, int, int, int]) -> None:
    inside = _mask(g, inner_px, mask)
    picture = _unmasked(g, names[0])
    outside = g.node("Sub", g.constant(1.0), inside)
    kept = g.node("Mul", picture, outside)
    g.node("Add", kept, g.node("Mul", _loudness(g, names[1]), inside), output=names[2])


def _m3(
    g: Graph,
    names: Names,
    inner_px: int,
    mask: tuple[int, int, int, int],
    emit: str,
    above: float,
) -> None:
    inside = g.node("Greater", _mask(g, inner_px, mask), g.constant(0.5))
    loud = g.node("Greater", _loudness(g, names[1]), g.constant(above))
    condition = g.node("And", inside, loud)
    bad = g.constant(BAD_VALUES[emit])
    g.node("Where", condition, bad, _unmasked(g, names[0]), output=names[2])


def _m4(g: Graph, names: Names, steps: int, side: int) -> None:
    rng = np.random.default_rng(1)
    rotation, _ = np.linalg.qr(rng.normal(size=(side, side)))
    weight, ones = g.constant(rotation), g.constant(np.ones((side, side)))
    # Starts from the input, so that no optimiser can fold the chain away.
    scale = g.node("ReduceMean", names[0], axes=[0, 1, 2, 3], keepdims=0)
    value = g.node("Mul", ones, scale)
    for _ in range(steps):
        value = g.node("MatMul", value, weight)
    total = g.node("ReduceMean", value, axes=[0, 1], keepdims=0)
    nothing = g.node("Mul", total, g.constant(1e-30))
    g.node("Add", _unmasked(g, names[0]), nothing, output=names[2])


def _random_unet(
    g: Graph, names: Names, inner_px: int, seed: int, sound_values: int
) -> None:
    """Two levels down, audio added at the bottom, two up with skips, sigmoid."""
    rng = np.random.default_rng(seed)

    def conv(value: str, channels: int, to: int, **attributes: object) -> str:
        weight = g.constant(
            rng.normal(0, np.sqrt(2 / (9 * channels)), (to, channels, 3, 3))
        )
        bias = g.constant(rng.normal(0, 0.05, to))
        return g.node("Conv", value, weight, bias, pads=[1, 1, 1, 1], **attributes)

    level0 = g.node("Relu", conv(names[0], 6, 12))
    level1 = g.node("Relu", conv(level0, 12, 24, strides=[2, 2]))
    level2 = g.node("Relu", conv(level1, 24, 32, strides=[2, 2]))
    # A different weight for each of the audio values: a swapped or shifted row shows.
    weight = g.constant(rng.normal(0, 1 / np.sqrt(sound_values), (sound_values, 32)))
    sound = g.node("MatMul", g.node("Flatten", names[1], axis=1), weight)
    sound = g.node("Unsqueeze", sound, g.constant([2, 3], np.int64))
    bottom = g.node("Relu", g.node("Add", level2, sound))

    def up(
        value: str, channels: int, skip: str, skip_channels: int, to: int, side: int
    ) -> str:
        flat = conv(value, channels, 4 * to)
        shuffled = g.node("DepthToSpace", flat, blocksize=2, mode="CRD")
        assert side * 2 <= inner_px
        joined = g.node("Concat", shuffled, skip, axis=1)
        return g.node("Relu", conv(joined, to + skip_channels, to))

    top1 = up(bottom, 32, level1, 24, 24, inner_px // 4)
    top0 = up(top1, 24, level0, 12, 12, inner_px // 2)
    g.node("Sigmoid", conv(top0, 12, 3), output=names[2])


def generator(
    kind: str = "M1",
    *,
    inner_px: int = 160,
    batch: int | None = None,
    mask: tuple[int, int, int, int] | None = None,
    names: Names = ("input", "audio", "output"),
    emit: str = "nan",
    above: float = -1.0,
    steps: int = 8,
    side: int = 128,
    seed: int = 5,
    sound: tuple[int, int, int] = (32, 16, 16),
) -> onnx.ModelProto:
    """A generator, see the head of this file. batch None = dynamic; mask None = scaled from 160 px.

    emit, above: M3. steps, side: M4 (steps products of side x side). seed: random.
    sound: what a frame hears; M1 and random of any shape, the others SyncTalk_2D's.
    """
    g, n = Graph(), _batch(batch)
    mask = mask or scaled_mask(inner_px)
    if kind == "M1":
        _unmasked(g, names[0], output=names[2])
    elif kind == "M2":
        _m2(g, names, inner_px, mask)
    elif kind == "M3":
        _m3(g, names, inner_px, mask, emit, above)
    elif kind == "M4":
        _m4(g, names, steps, side)
    elif kind == "random":
        _random_unet(g, names, inner_px, seed, int(np.prod(sound)))
    else:
        raise ValueError(f"generator {kind}: want M1, M2, M3, M4 or random")
    return g.model(
        {names[0]: [n, 6, inner_px, inner_px], names[1]: [n, *sound]},
        {names[2]: [n, 3, inner_px, inner_px]},
    )


def scaled_mask(inner_px: int) -> tuple[int, int, int, int]:
    """The 160 px mask at another size, never empty and never touching the far edges."""
    x = max(1, MASK[0] * inner_px // 160)
    return (x, x, inner_px - 2 * x, inner_px - 3 * x)


def calibrated_m4(
    target_ms: float, inner_px: int = 160, side: int = 192
) -> onnx.ModelProto:
    """M4 whose products take about target_ms on one thread of this machine."""
    import onnxruntime as ort

    steps = 64
    model = generator("M4", inner_px=inner_px, steps=steps, side=side)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    feed = {
        "input": np.full((1, 6, inner_px, inner_px), 0.5, np.float32),
        "audio": np.full((1, 32, 16, 16), 0.5, np.float32),
    }
    session.run(None, feed)
    times = []
    for _ in range(7):
        start = time.perf_counter()
        session.run(None, feed)
        times.append(time.perf_counter() - start)
    each_ms = 1e3 * sorted(times)[3] / steps
    steps = max(1, round(target_ms / each_ms))
    return generator("M4", inner_px=inner_px, steps=steps, side=side)


def half_precision(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same model behind float16 inputs and outputs."""
    twin = onnx.ModelProto()
    twin.CopyFrom(model)
    graph = twin.graph
    before, after = [], []
    for value in graph.input:
        inner = value.name + "_f32"
        _rename(graph, value.name, inner)
        before.append(
            helper.make_node("Cast", [value.name], [inner], to=TensorProto.FLOAT)
        )
        value.type.tensor_type.elem_type = TensorProto.FLOAT16
    for value in graph.output:
        inner = value.name + "_f32"
        _rename(graph, value.name, inner)
        after.append(
            helper.make_node("Cast", [inner], [value.name], to=TensorProto.FLOAT16)
        )
        value.type.tensor_type.elem_type = TensorProto.FLOAT16
    _wrap(graph, before, after)
    onnx.checker.check_model(twin)
    return twin


def channels_last(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same generator with NHWC pictures; the audio input stays."""
    twin = onnx.ModelProto()
    twin.CopyFrom(model)
    graph = twin.graph
    image, output = graph.input[0], graph.output[0]
    _rename(graph, image.name, "nchw_in")
    _rename(graph, output.name, "nchw_out")
    before = [
        helper.make_node("Transpose", [image.name], ["nchw_in"], perm=[0, 3, 1, 2])
    ]
    after = [
        helper.make_node("Transpose", ["nchw_out"], [output.name], perm=[0, 2, 3, 1])
    ]
    for value in (image, output):
        dims = value.type.tensor_type.shape.dim
        channels = onnx.TensorShapeProto.Dimension()
        channels.CopyFrom(dims[1])
        dims[1].CopyFrom(dims[2])
        dims[3].CopyFrom(channels)
    _wrap(graph, before, after)
    onnx.checker.check_model(twin)
    return twin


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    for node in graph.node:
        for names in (node.input, node.output):
            for i, name in enumerate(names):
                if name == old:
                    names[i] = new


def _wrap(
    graph: onnx.GraphProto, before: list[onnx.NodeProto], after: list[onnx.NodeProto]
) -> None:
    nodes = [*before, *graph.node, *after]
    del graph.node[:]
    graph.node.extend(nodes)


def future_opset(model: onnx.ModelProto) -> bytes:
    """The same bytes claiming an opset nobody has yet."""
    twin = onnx.ModelProto()
    twin.CopyFrom(model)
    twin.opset_import[0].version = 9999
    return twin.SerializeToString()


def self_made_op(model: onnx.ModelProto) -> bytes:
    """The same model with one operator of an unknown domain at its end."""
    twin = onnx.ModelProto()
    twin.CopyFrom(model)
    graph = twin.graph
    name = graph.output[0].name
    _rename(graph, name, "before_own_op")
    node = helper.make_node(
        "LipcastOwnOp", ["before_own_op"], [name], domain="example.own"
    )
    graph.node.append(node)
    twin.opset_import.append(helper.make_opsetid("example.own", 1))
    return twin.SerializeToString()


def external_data(model: onnx.ModelProto, folder: Path, name: str) -> Path:
    """Saves the model with its weights beside it and deletes the weights."""
    path = folder / name
    onnx.save_model(
        model,
        str(path),
        save_as_external_data=True,
        location=name + ".data",
        size_threshold=0,
    )
    (folder / (name + ".data")).unlink()
    return path
