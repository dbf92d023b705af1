"""Takes out of a network what computes nothing for a frame: copies, constants made of constants, and what nobody uses.

What is left draws the same to the bit: ONNX Runtime itself, not optimising, computes the constants.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from lipcast_studio.optimise.split import real_inputs, rename, session_of, uses_of

Array = np.ndarray[Any, Any]
LARGEST_BYTES = 1 << 16  # of a constant that is larger than what it is made of: the file must not grow
# Each run gives another value, or the node says in which type the next one computes.
NEVER_FOLDED = (
    *("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial", "Dropout"),
    *("QuantizeLinear", "DequantizeLinear"),
)


def simplify(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same network with no more nodes than it needs."""
    twin = onnx.ModelProto()
    twin.CopyFrom(model)
    twin.ir_version = max(4, twin.ir_version)  # the first where a stored tensor need not be an input
    inputs = [onnx.ValueInfoProto.FromString(value.SerializeToString()) for value in real_inputs(twin.graph)]
    del twin.graph.input[:]
    twin.graph.input.extend(inputs)
    _drop_copies(twin)
    _fold(twin)
    _drop_copies(twin)  # dropout: whether it trains is known now
    _drop_unused(twin.graph)
    onnx.checker.check_model(twin)
    return twin


def _keep(graph: onnx.GraphProto, nodes: list[onnx.NodeProto]) -> None:
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(kept)


def _stored(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto]:
    return {tensor.name: tensor for tensor in graph.initializer}


def _is_copy(node: onnx.NodeProto, opset: int, used: set[str], may_be_true: Callable[[str], bool]) -> bool:
    """An Identity, or a Dropout that is not in training."""
    if node.domain not in ("", "ai.onnx"):
        return False
    if node.op_type != "Dropout":
        return node.op_type == "Identity"
    trains = opset < 7 or any(map(may_be_true, node.input[2:]))
    return not trains and not used.intersection(node.output[1:])


def _drop_copies(model: onnx.ModelProto) -> None:
    """Whoever reads a copy reads what it is a copy of; where the copy is the network's output, its maker makes that."""
    graph = model.graph
    opset = next((own.version for own in model.opset_import if own.domain in ("", "ai.onnx")), 0)
    outputs = {value.name for value in graph.output}
    used = outputs.union(*map(uses_of, graph.node))
    stored = _stored(graph)

    def may_be_true(name: str) -> bool:
        return bool(name) and (name not in stored or bool(numpy_helper.to_array(stored[name]).any()))

    made = {name for node in graph.node for name in node.output}
    new_name: dict[str, str] = {}
    nodes = []
    for node in graph.node:
        if not _is_copy(node, opset, used, may_be_true):
            nodes.append(node)
            continue
        source, copy = new_name.get(node.input[0], node.input[0]), node.output[0]
        if copy not in outputs:
            new_name[copy] = source
        elif source in made and source not in outputs:
            made.discard(source)  # two outputs cannot be one
            new_name |= {old: copy for old, new in new_name.items() if new == source} | {source: copy}
        else:
            nodes.append(node)
    for node in nodes:
        rename(node, new_name)
        for i, name in enumerate(node.output):
            node.output[i] = new_name.get(name, name)
    _keep(graph, nodes)


def _candidates(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Nodes of constants alone. One that makes an output of the network stays: an output is made by a node."""
    known = set(_stored(graph))
    outputs = {value.name for value in graph.output}
    found = []
    for node in graph.node:
        plain = node.domain in ("", "ai.onnx") and node.op_type not in NEVER_FOLDED
        deep = any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute)
        constant = node.op_type == "Constant" or (any(node.input) and known.issuperset(filter(None, node.input)))
        if plain and constant and not deep and not outputs.intersection(node.output):
            found.append(node)
            known.update(node.output)
    return found


def _values(model: onnx.ModelProto, nodes: list[onnx.NodeProto]) -> dict[str, Array]:
    """What these nodes of constants make."""
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    del probe.graph.input[:], probe.graph.output[:], probe.graph.value_info[:]
    names = [name for node in nodes for name in node.output if name]
    probe.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    _keep(probe.graph, nodes)
    values = session_of(probe, optimise=False).run(None, {})
    return {name: value for name, value in zip(names, values, strict=True) if isinstance(value, np.ndarray)}


def _fold(model: onnx.ModelProto) -> None:
    """Stores what nodes of constants make in their place."""
    graph = model.graph
    nodes = _candidates(graph)
    if not nodes:
        return
    values = _values(model, nodes)
    size = {name: len(tensor.SerializeToString()) for name, tensor in _stored(graph).items()}
    folded: set[str] = set()
    for node in nodes:
        names = [name for name in node.output if name]
        read = list(filter(None, node.input))
        if not all(name in size for name in read) or not all(name in values for name in names):
            continue
        limit = max(LARGEST_BYTES, sum(size[name] for name in read))
        if node.op_type == "Constant" or all(values[name].nbytes <= limit for name in names):
            folded.update(names)
            size |= {name: values[name].nbytes for name in names}
    graph.initializer.extend(numpy_helper.from_array(values[name], name) for name in sorted(folded))
    _keep(graph, [node for node in graph.node if not folded.intersection(node.output)])


def _drop_unused(graph: onnx.GraphProto) -> None:
    wanted = {value.name for value in graph.output}
    nodes = []
    for node in reversed(graph.node):
        if wanted.intersection(filter(None, node.output)):
            nodes.append(node)
            wanted |= uses_of(node)
    _keep(graph, nodes[::-1])
    made = {name for node in graph.node for name in node.output}
    stored = [tensor for tensor in graph.initializer if tensor.name in wanted]
    sparse = [tensor for tensor in graph.sparse_initializer if tensor.values.name in wanted]
    known = [value for value in graph.value_info if value.name in made]
    del graph.initializer[:], graph.sparse_initializer[:], graph.value_info[:]
    graph.initializer.extend(stored)
    graph.sparse_initializer.extend(sparse)
    graph.value_info.extend(known)
