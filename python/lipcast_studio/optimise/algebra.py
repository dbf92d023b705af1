"""Rewrites that leave what a network computes as it is, but for rounding.

A 1x1 convolution over a concatenation is the sum of one over each part. The share of a part that
only the picture decides is computed once for each avatar frame; the share of a part that was
enlarged bilinearly is computed before it is enlarged, on a quarter of the points: both are linear,
and the weights of a bilinear point sum to 1.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from lipcast_studio.optimise.split import AUDIO, PICTURE, Analysis, attributes


@dataclass(frozen=True)
class Site:
    """A 1x1 convolution over a concatenation that can be taken apart."""

    conv: str  # name of its output
    before_resize: bool  # the sound's share can be moved before an enlargement


def sites(model: onnx.ModelProto) -> list[Site]:
    """Where the rewrites fit, in the order of the graph."""
    return [Site(work.conv.output[0], work.resize is not None) for work in _find(model)]


@dataclass(frozen=True)
class _Place:
    conv: onnx.NodeProto
    concat: onnx.NodeProto
    resize: onnx.NodeProto | None
    weight: np.ndarray[Any, Any]  # [O, C, 1, 1]
    bias: np.ndarray[Any, Any]  # [O]
    picture_part: int  # which input of the concatenation the picture alone decides
    channels: list[int]  # of each input


def _find(model: onnx.ModelProto) -> list[_Place]:
    seen = Analysis(model)
    graph = model.graph
    stored = {tensor.name: tensor for tensor in graph.initializer}
    users = Counter(name for node in graph.node for name in node.input)
    maker = {name: node for node in graph.node for name in node.output}
    found = []
    for conv in graph.node:
        if conv.op_type != "Conv" or conv.input[1] not in stored:
            continue
        concat = maker.get(conv.input[0])
        how = attributes(conv)
        weight = numpy_helper.to_array(stored[conv.input[1]])
        plain = how.get("group", 1) == 1 and set(how.get("strides", [1])) == {1} and not any(how.get("pads", [0]))
        if weight.shape[2:] != (1, 1) or not plain or weight.dtype != np.float32:
            continue
        if concat is None or concat.op_type != "Concat" or attributes(concat)["axis"] != 1:
            continue
        if len(concat.input) != 2 or users[concat.output[0]] != 1:
            continue
        parts = [seen.depends[name] for name in concat.input]
        if sorted(part & AUDIO for part in parts) != [0, AUDIO] or PICTURE not in parts:
            continue
        picture = parts.index(PICTURE)
        skip = seen.kinds[concat.input[picture]][1][1]
        channels = [weight.shape[1] - skip] * 2
        channels[picture] = skip
        if len(conv.input) > 2 and conv.input[2] not in stored:
            continue
        bias = numpy_helper.to_array(stored[conv.input[2]]) if len(conv.input) > 2 else np.zeros(len(weight), np.float32)
        resize = maker.get(concat.input[1 - picture])
        if resize is not None and not (_is_bilinear(resize) and users[resize.output[0]] == 1):
            resize = None
        found.append(_Place(conv, concat, resize, weight, bias, picture, channels))
    return found


def _is_bilinear(node: onnx.NodeProto) -> bool:
    if node.op_type != "Resize":
        return False
    how = attributes(node)
    modes = (b"align_corners", b"half_pixel", b"asymmetric", b"pytorch_half_pixel")
    return how.get("mode") == b"linear" and how.get("coordinate_transformation_mode", b"half_pixel") in modes


def rewrite(model: onnx.ModelProto, chosen: dict[str, bool]) -> onnx.ModelProto:
    """The same network with these convolutions taken apart.

    chosen: by the name of a site's output, whether its sound's share moves before the enlargement.
    """
    twin = onnx.ModelProto()
    twin.CopyFrom(model)
    graph = twin.graph
    places = {place.conv.output[0]: place for place in _find(twin) if place.conv.output[0] in chosen}
    nodes: list[onnx.NodeProto] = []
    gone = {place.concat.output[0] for place in places.values()}
    gone |= {p.resize.output[0] for out, p in places.items() if chosen[out] and p.resize is not None}
    for node in graph.node:
        place = places.get(node.output[0])
        if place is not None:
            nodes += _taken_apart(graph, place, chosen[node.output[0]])
        elif node.output[0] not in gone:
            nodes.append(node)
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(kept)
    used = {name for node in kept for name in node.input}
    stored = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:], graph.value_info[:]
    graph.initializer.extend(stored)
    onnx.checker.check_model(twin)
    return twin


def _taken_apart(graph: onnx.GraphProto, place: _Place, before_resize: bool) -> list[onnx.NodeProto]:
    out = place.conv.output[0]
    first = place.channels[0]
    halves = [place.weight[:, :first], place.weight[:, first:]]
    picture, sound = place.picture_part, 1 - place.picture_part
    names = [f"{out}_{what}" for what in ("skip_weight", "skip_bias", "sound_weight")]
    values = [halves[picture], place.bias, halves[sound]]
    for name, value in zip(names, values, strict=True):
        graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
    skip = helper.make_node("Conv", [place.concat.input[picture], names[0], names[1]], [f"{out}_skip"])
    taken = place.concat.input[sound]
    if before_resize and place.resize is not None:
        conv = helper.make_node("Conv", [place.resize.input[0], names[2]], [f"{out}_small"])
        resize = onnx.NodeProto()
        resize.CopyFrom(place.resize)
        resize.input[0], resize.output[0] = f"{out}_small", f"{out}_sound"
        shares = [conv, resize]
    else:
        shares = [helper.make_node("Conv", [taken, names[2]], [f"{out}_sound"])]
    return [skip, *shares, helper.make_node("Add", [f"{out}_sound", f"{out}_skip"], [out])]
