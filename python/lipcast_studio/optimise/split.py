"""Cuts a generator in two: what only the picture decides, and what needs the sound.

A frame of an avatar shows the same picture every time it comes round, so the first part runs once
for each and its results, the cut, are kept; only the second runs for every frame that is drawn.
Works on any ONNX graph with these two inputs: it follows the values, not the names of layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

from ..errors import StudioError

PICTURE, AUDIO = 1, 2  # what a value depends on, as bits
FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16)
PRODUCER = "lipcast-optimise"


class RefusedError(StudioError):
    """The network cannot be optimised; the message is one line for the user."""


@dataclass(frozen=True)
class Cut:
    """A value that the image part gives and the audio part takes."""

    name: str
    dims: tuple[int, ...]  # of one item, without the batch

    @property
    def floats(self) -> int:
        """Of one avatar frame."""
        return int(np.prod(self.dims))


@dataclass(frozen=True)
class Split:
    """The two parts of a network."""

    image: onnx.ModelProto
    audio: onnx.ModelProto
    cuts: tuple[Cut, ...]
    image_nodes: int
    audio_nodes: int

    @property
    def kept_floats(self) -> tuple[int, int]:
        """Of one frame, and how many of them stay in full in half precision: as lipcast/generator/split_network.h says."""
        sizes = sorted(cut.floats for cut in self.cuts)
        total = sum(sizes)
        return total, max((found for found in accumulate(sizes) if found <= total // 16), default=0)


def dims_of(value: onnx.ValueInfoProto) -> list[int | None]:
    """Its dimensions, None where one is free."""
    dims = value.type.tensor_type.shape.dim
    return [dim.dim_value if dim.HasField("dim_value") else None for dim in dims]


def describe(value: onnx.ValueInfoProto) -> str:
    """Its name and shape: input [N,6,160,160]."""
    dims = ["N" if d is None and i == 0 else "?" if d is None else str(d) for i, d in enumerate(dims_of(value))]
    return f"{value.name} [{','.join(dims)}]"


def real_inputs(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    """Inputs that are not stored weights listed as inputs, as old exporters do."""
    stored = {tensor.name for tensor in graph.initializer}
    return [value for value in graph.input if value.name not in stored]


def find_inputs(graph: onnx.GraphProto) -> tuple[onnx.ValueInfoProto, onnx.ValueInfoProto]:
    """The picture and the sound, told apart by shape: the picture is [N,6,S,S]."""
    inputs = real_inputs(graph)
    shown = ", ".join(map(describe, inputs))
    if len(inputs) != 2 or len(graph.output) != 1:
        raise RefusedError(
            f"has inputs {shown or 'none'} and {len(graph.output)} outputs: want a picture, a sound and one output"
        )
    pictures = [value for value in inputs if _is_picture(dims_of(value))]
    if len(pictures) != 1:
        raise RefusedError(f"has inputs {shown}: want exactly one picture [N,6,S,S]")
    for value in inputs:
        batch = dims_of(value)[0] if dims_of(value) else None
        if batch not in (None, 1):
            raise RefusedError(f"{describe(value)}: want a free batch or 1; frames are drawn one by one on a CPU")
    return pictures[0], next(value for value in inputs if value is not pictures[0])


def _is_picture(dims: list[int | None]) -> bool:
    return len(dims) == 4 and dims[1] == 6 and dims[2] is not None and dims[2] == dims[3]


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """By name, as Python values."""
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def uses_of(node: onnx.NodeProto) -> set[str]:
    """Every value a node reads, those its subgraphs take from outside too."""
    names = {name for name in node.input if name}
    for attribute in node.attribute:
        for graph in [attribute.g, *attribute.graphs]:
            own = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
            for inner in graph.node:
                names |= uses_of(inner) - own
                own |= set(inner.output)
    return names


class Analysis:
    """What each value of a graph depends on, and which values can be kept for a frame."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.graph = model.graph
        self.picture, self.audio = find_inputs(self.graph)
        self.batch = 2 if dims_of(self.picture)[0] is None else 1
        self.depends = {tensor.name: 0 for tensor in self.graph.initializer}
        self.depends |= {tensor.values.name: 0 for tensor in self.graph.sparse_initializer}
        self.depends[self.picture.name] = PICTURE
        self.depends[self.audio.name] = AUDIO
        self.maker: dict[str, int] = {}
        for number, node in enumerate(self.graph.node):
            self._follow(number, node)
        self.kinds = self._kinds(model)

    def _follow(self, number: int, node: onnx.NodeProto) -> None:
        depends = 0
        for name in uses_of(node):
            if name not in self.depends:
                raise RefusedError(f"value '{name}' is used by node '{node.name or node.op_type}' before anything makes it")
            depends |= self.depends[name]
        for name in filter(None, node.output):
            if name in self.depends:
                raise RefusedError(f"value '{name}' is made twice: names are ambiguous")
            self.depends[name] = depends
            self.maker[name] = number

    def _kinds(self, model: onnx.ModelProto) -> dict[str, tuple[int, tuple[int, ...]]]:
        """Of each value made from the picture alone: element type, and dimensions with the batch.

        Seen by running the network: what a shape is inferred to be depends on the exporter.
        """
        feed = random_inputs(model, self.batch, seed=1)
        kinds = {self.picture.name: (self.picture.type.tensor_type.elem_type, feed[self.picture.name].shape)}
        wanted = [name for name, depends in self.depends.items() if depends == PICTURE and name in self.maker]
        if wanted:
            probe = onnx.ModelProto()
            probe.CopyFrom(model)
            del probe.graph.output[:]
            probe.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted)
            seen = session_of(probe, optimise=False).run(None, feed)
            for name, value in zip(wanted, seen, strict=True):
                kinds[name] = (helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
        return kinds

    def keepable(self, name: str) -> bool:
        """Floats of one item each: what the engine can keep for an avatar's frame."""
        element, dims = self.kinds[name]
        return element in FLOATS and len(dims) >= 2 and dims[0] == self.batch and 0 not in dims


def split(model: onnx.ModelProto) -> Split:
    """Both parts. RefusedError where nothing, or everything, depends on the picture alone."""
    seen = Analysis(model)
    graph = seen.graph
    output = graph.output[0]
    if seen.depends.get(output.name) != PICTURE | AUDIO:
        alone = {0: "nothing", PICTURE: "the picture alone", AUDIO: "the sound alone"}.get(seen.depends.get(output.name, 0))
        raise RefusedError(f"its output {output.name} depends on {alone}: there is nothing to split")

    audio_nodes = {n for n, node in enumerate(graph.node) if any(seen.depends[name] & AUDIO for name in node.output if name)}
    cuts: list[str] = []
    waiting = [name for n in sorted(audio_nodes) for name in sorted(uses_of(graph.node[n]))]
    while waiting:
        name = waiting.pop(0)
        if seen.depends[name] == PICTURE and seen.keepable(name):
            if name not in cuts:
                cuts.append(name)
        elif name in seen.maker and not seen.depends[name] & AUDIO and seen.maker[name] not in audio_nodes:
            # Sizes and constants are computed again: they are cheap and hold no picture.
            audio_nodes.add(seen.maker[name])
            waiting.extend(sorted(uses_of(graph.node[seen.maker[name]])))

    image_nodes: set[int] = set()
    waiting = list(cuts)
    while waiting:
        number = seen.maker.get(waiting.pop())
        if number is not None and number not in image_nodes:
            image_nodes.add(number)
            waiting.extend(uses_of(graph.node[number]))
    heavy = [n for n in image_nodes if any(seen.depends[name] == PICTURE for name in graph.node[n].output)]
    if not heavy:
        raise RefusedError(
            f"the sound meets the picture at its first layer ({graph.node[min(audio_nodes)].op_type} ..):"
            " no part depends on the picture alone"
        )
    # The picture itself may be kept; an output cannot have the name of an input.
    names = {name: name if name in seen.maker else f"{name}_kept" for name in cuts}
    if clash := {new for old, new in names.items() if new != old and new in seen.depends}:
        raise RefusedError(f"value '{min(clash)}': names are ambiguous")
    kept = _infos([(names[name], *seen.kinds[name]) for name in cuts], seen.picture)
    copies = [helper.make_node("Identity", [old], [new]) for old, new in names.items() if old != new]
    image = copies + [graph.node[n] for n in sorted(image_nodes)]
    audio = [_renamed(graph.node[n], names) for n in sorted(audio_nodes)]
    return Split(
        image=_part(model, image, [seen.picture], kept),
        audio=_part(model, audio, [*kept, seen.audio], [output]),
        cuts=tuple(Cut(names[name], tuple(seen.kinds[name][1][1:])) for name in cuts),
        image_nodes=len(heavy),
        audio_nodes=len(audio_nodes),
    )


def _infos(elements: list[tuple[str, int, tuple[int, ...]]], picture: onnx.ValueInfoProto) -> list[onnx.ValueInfoProto]:
    """Their declarations, with the picture's batch."""
    batch = picture.type.tensor_type.shape.dim[0]
    first = batch.dim_value if batch.HasField("dim_value") else (batch.dim_param or "N")
    return [helper.make_tensor_value_info(name, element, [first, *dims[1:]]) for name, element, dims in elements]


def _part(
    model: onnx.ModelProto,
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
) -> onnx.ModelProto:
    """Some nodes of a network as a network of their own, with the weights they use."""
    used: set[str] = set().union(*map(uses_of, nodes))
    graph = helper.make_graph(
        nodes,
        model.graph.name,
        inputs,
        outputs,
        [tensor for tensor in model.graph.initializer if tensor.name in used],
        sparse_initializer=[tensor for tensor in model.graph.sparse_initializer if tensor.values.name in used],
    )
    part = helper.make_model(graph, producer_name=PRODUCER, opset_imports=model.opset_import, functions=model.functions)
    part.ir_version = model.ir_version
    onnx.checker.check_model(part)
    return part


def _renamed(node: onnx.NodeProto, names: dict[str, str]) -> onnx.NodeProto:
    """A copy that reads each value by its new name."""
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    rename(copy, names)
    return copy


def rename(node: onnx.NodeProto, names: dict[str, str]) -> None:
    for i, name in enumerate(node.input):
        node.input[i] = names.get(name, name)
    for attribute in node.attribute:
        for graph in [attribute.g, *attribute.graphs]:
            for inner in graph.node:
                rename(inner, names)


def session_of(model: onnx.ModelProto, *, optimise: bool = True) -> ort.InferenceSession:
    """As the engine runs it: one thread, on the CPU."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    options.log_severity_level = 3
    if not optimise:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def random_inputs(model: onnx.ModelProto, batch: int, seed: int) -> dict[str, np.ndarray[Any, Any]]:
    """Noise 0..1 for the picture and 0..2 for the sound, by input name."""
    rng = np.random.default_rng(seed)
    picture, audio = find_inputs(model.graph)
    feed = {}
    for value, high in ((picture, 1.0), (audio, 2.0)):
        dims = dims_of(value)[1:]
        if None in dims:
            raise RefusedError(f"{describe(value)}: want only the batch free")
        noise = rng.uniform(0, high, (batch, *map(int, filter(None, dims))))
        feed[value.name] = noise.astype(helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type))
    return feed


def largest_difference(model: onnx.ModelProto, parts: Split, runs: int = 4) -> float:
    """Of the two parts one after the other against the whole, over noise."""
    whole, image, audio = map(session_of, (model, parts.image, parts.audio))
    picture, sound = find_inputs(model.graph)
    worst = 0.0
    for seed in range(runs):
        feed = random_inputs(model, 1, seed)
        wanted = whole.run(None, feed)[0].astype(np.float64)
        kept = image.run(None, {picture.name: feed[picture.name]})
        names = [value.name for value in image.get_outputs()]
        got = audio.run(None, {**dict(zip(names, kept, strict=True)), sound.name: feed[sound.name]})[0]
        difference = np.abs(got.astype(np.float64) - wanted).max()
        worst = max(worst, float(difference) if np.isfinite(difference) else float("inf"))
    return worst
