"""The networks of SyncTalk_2D at full size with random weights, as ONNX, without PyTorch.

For load figures: what they cost is what trained ones cost, batch norms folded as an exporter does.
"""

from __future__ import annotations

import numpy as np
import onnx

from markers.models import Graph

Value = tuple[str, int, int]  # name, channels, side


class _Network:
    def __init__(self, seed: int) -> None:
        self.graph = Graph()
        self.macs = 0
        self._rng = np.random.default_rng(seed)

    def conv(
        self, value: str, size: tuple[int, ...], to: int, kernel: int, **how: object
    ) -> str:
        """[N, size[0], size[1], size[2]] -> `to` channels. how: strides, pads, group."""
        channels, height, width = size
        group = int(how.get("group", 1))  # type: ignore[call-overload]
        each = channels // group
        scale = np.sqrt(2 / (each * kernel * kernel))
        weight = self._rng.normal(0, scale, (to, each, kernel, kernel))
        bias = self._rng.normal(0, 0.05, to)
        strides, pads = how.get("strides", [1, 1]), how.get("pads", [0] * 4)
        out_h = (height + 2 * pads[0] - kernel) // strides[0] + 1  # type: ignore[index]
        out_w = (width + 2 * pads[1] - kernel) // strides[1] + 1  # type: ignore[index]
        self.macs += out_h * out_w * to * each * kernel * kernel
        constants = map(self.graph.constant, (weight, bias))
        return self.graph.node("Conv", value, *constants, **how)

    def residual_block(self, value: Value, to: int, stride: int = 1) -> Value:
        """The inverted residual; adds its input where nothing changes size."""
        name, channels, side = value
        wide = 2 * channels
        relu = lambda one: self.graph.node("Relu", one)  # noqa: E731
        inner = relu(self.conv(name, (channels, side, side), wide, 1))
        how = {"strides": [stride] * 2, "pads": [1] * 4, "group": wide}
        inner = relu(self.conv(inner, (wide, side, side), wide, 3, **how))
        side //= stride
        inner = self.conv(inner, (wide, side, side), to, 1)
        if stride == 1 and to == channels:
            inner = self.graph.node("Add", name, inner)
        return inner, to, side

    def double(self, value: Value, to: int, stride: int = 1) -> Value:
        return self.residual_block(self.residual_block(value, to, stride), to)

    def up(self, value: Value, skip: Value, to: int) -> Value:
        name, channels, side = value
        scales = self.graph.constant([1, 1, 2, 2])
        empty = self.graph.constant(np.zeros(0))
        mode = {"mode": "linear", "coordinate_transformation_mode": "align_corners"}
        grown = self.graph.node("Resize", name, empty, scales, **mode)
        joined = self.graph.node("Concat", grown, skip[0], axis=1)
        return self.double((joined, channels + skip[1], 2 * side), to)

    def sound(self, audio: str) -> Value:
        """[N,32,16,16] -> [N,512,10,10]."""
        relu = lambda one: self.graph.node("Relu", one)  # noqa: E731
        value = self.residual_block((audio, 32, 16), 64)
        value = self.residual_block(value, 128)
        name = relu(self.conv(value[0], (128, 16, 16), 256, 3, pads=[1] * 4))
        value = self.residual_block((name, 256, 16), 256)
        how = {"strides": [2, 2], "pads": [3] * 4}
        name = relu(self.conv(value[0], (256, 16, 16), 512, 3, **how))
        return self.residual_block(self.residual_block((name, 512, 10), 512), 512)


def unet(inner_px: int, seed: int = 5) -> tuple[onnx.ModelProto, int]:
    """The generator for 160 or 320 px and its multiply-adds a frame."""
    levels = {160: [32, 64, 128, 256, 512], 320: [32, 32, 64, 128, 256, 512]}[inner_px]
    net = _Network(seed)
    g = net.graph
    skips = [net.residual_block(("input", 6, inner_px), levels[0])]
    for channels in levels[1:]:
        skips.append(net.double(skips[-1], channels, stride=2))
    bottom = skips.pop()
    sound = net.sound("audio")
    joined = g.node("Concat", bottom[0], sound[0], axis=1)
    value = net.double(net.double((joined, 1024, bottom[2]), 512), 256)
    for to in [128, 64, 32, 32, 16][: len(skips)]:
        value = net.up(value, skips.pop(), to)
    name, channels, side = value
    g.node("Sigmoid", net.conv(name, (channels, side, side), 3, 1), output="output")
    model = g.model(
        {"input": ["N", 6, side, side], "audio": ["N", 32, 16, 16]},
        {"output": ["N", 3, side, side]},
    )
    return model, net.macs


def audio_encoder(seed: int = 5) -> tuple[onnx.ModelProto, int]:
    """Mel [N,1,80,16] -> features [N,512], and its multiply-adds a frame."""
    net = _Network(seed)
    layers = [  # channels, strides, residual
        (32, (1, 1), False),
        *[(32, (1, 1), True)] * 2,
        (64, (3, 1), False),
        *[(64, (1, 1), True)] * 2,
        (128, (3, 3), False),
        *[(128, (1, 1), True)] * 2,
        (256, (3, 2), False),
        (256, (1, 1), True),
    ]
    name, channels, height, width = "mel", 1, 80, 16
    for to, strides, residual in layers:
        how = {"strides": list(strides), "pads": [1] * 4}
        out = net.conv(name, (channels, height, width), to, 3, **how)
        if residual:
            out = net.graph.node("Add", out, name)
        name, channels = net.graph.node("Relu", out), to
        height, width = (height - 1) // strides[0] + 1, (width - 1) // strides[1] + 1
    for kernel in (3, 1):
        out = net.conv(name, (channels, kernel, kernel), 512, kernel)
        name, channels = net.graph.node("Relu", out), 512
    net.graph.node("Flatten", name, axis=1, output="features")
    model = net.graph.model({"mel": ["N", 1, 80, 16]}, {"features": ["N", 512]})
    return model, net.macs
