"""The U-Nets of SyncTalk_2D (160, 328) and Ultralight (HuBERT, WeNet): one scheme, widths from the weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Stride = int | tuple[int, int]
# Stride of the sound path's third convolution, and the sound's shape without batch and channels.
_SOUNDS: dict[str, tuple[Stride, tuple[int, int]]] = {
    "ave": (1, (16, 16)),
    "hubert": (2, (32, 32)),
    "wenet": ((1, 2), (16, 32)),
}


class _Inverted(nn.Module):
    """1x1 to twice the channels, 3x3 depthwise (with the stride), 1x1 to `outputs`; optionally plus the input."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, *, residual: bool = False) -> None:
        super().__init__()
        wide = 2 * inputs
        self.residual = residual
        self.conv = nn.Sequential(
            nn.Conv2d(inputs, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU(),
            nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False), nn.BatchNorm2d(wide), nn.ReLU(),
            nn.Conv2d(wide, outputs, 1, bias=False), nn.BatchNorm2d(outputs),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return x + y if self.residual else y


class _Double(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.double_conv = nn.Sequential(_Inverted(inputs, outputs, stride), _Inverted(outputs, outputs, residual=True))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.double_conv(x)
        return y


def _nested(module: nn.Module, nested: bool) -> nn.Module:
    """SyncTalk_2D's keys have one more level than Ultralight's."""
    return nn.Sequential(module) if nested else module


class _Inc(nn.Module):
    def __init__(self, outputs: int, nested: bool) -> None:
        super().__init__()
        self.inconv = _nested(_Inverted(6, outputs), nested)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.inconv(x)
        return y


class _Down(nn.Module):
    def __init__(self, inputs: int, outputs: int, nested: bool) -> None:
        super().__init__()
        self.maxpool_conv = _nested(_Double(inputs, outputs, 2), nested)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.maxpool_conv(x)
        return y


class _Up(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
        self.conv = _Double(inputs, outputs)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = self.up(x)
        rows, columns = skip.shape[2] - x.shape[2], skip.shape[3] - x.shape[3]
        if rows or columns:
            x = F.pad(x, [columns // 2, columns - columns // 2, rows // 2, rows - rows // 2])
        y: Tensor = self.conv(torch.cat([x, skip], dim=1))
        return y


class _Out(nn.Module):
    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return y


class _Sound(nn.Module):
    """[N, widths[0], h, w] -> [N, widths[-1], s, s], s the side of the picture path's bottleneck."""

    def __init__(self, widths: tuple[int, ...], stride: Stride) -> None:
        super().__init__()
        sound, one, two, three, five = widths
        self.conv1 = _Inverted(sound, one)
        self.conv2 = _Inverted(one, two, residual=one == two)
        self.conv3 = nn.Conv2d(two, three, 3, stride, 1)
        self.bn3 = nn.BatchNorm2d(three)
        self.conv4 = _Inverted(three, three, residual=True)
        self.conv5 = nn.Conv2d(three, five, 3, 2, 3)
        self.bn5 = nn.BatchNorm2d(five)
        self.conv6 = _Inverted(five, five, residual=True)
        self.conv7 = _Inverted(five, five, residual=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv2(self.conv1(x))
        x = self.conv4(torch.relu(self.bn3(self.conv3(x))))
        x = torch.relu(self.bn5(self.conv5(x)))
        y: Tensor = self.conv7(self.conv6(x))
        return y


@dataclass(frozen=True)
class UNetShape:
    """Channels of the picture path level by level, of the ways up, of the sound path; and what the sound is.

    Five levels make a 160 px network, six one of 320 (the family called 328 after its crop).
    """

    down: tuple[int, ...]
    fused: tuple[int, int]
    up: tuple[int, ...]
    sound: tuple[int, ...]
    audio: str
    nested: bool

    @property
    def inner_px(self) -> int:
        """Side of the square picture the network sees."""
        return 160 if len(self.down) == 5 else 320

    @property
    def audio_shape(self) -> tuple[int, int, int]:
        """Of one frame's sound: channels, height, width."""
        return (self.sound[0], *_SOUNDS[self.audio][1])

    @staticmethod
    def of(weights: Mapping[str, Tensor], audio: str | None = None) -> UNetShape:
        """Reads it from a state dict. KeyError: the name of the first layer that is absent.

        audio: what the sound is; without it 128 channels are WeNet's, SyncTalk_2D's keys mean ave, others HuBERT.
        """

        def outputs(layer: str) -> int:
            return int(weights[layer + ".weight"].shape[0])

        nested = "inc.inconv.0.conv.0.weight" in weights
        level = ".0" if nested else ""
        levels = 5 if any(key.startswith("down5.") for key in weights) else 4
        sound = int(weights["audio_model.conv1.conv.0.weight"].shape[1])
        if audio is None:
            audio = "wenet" if sound >= 128 else "ave" if nested else "hubert"
        down = [outputs(f"inc.inconv{level}.conv.6")]
        down += [outputs(f"down{i}.maxpool_conv{level}.double_conv.0.conv.6") for i in range(1, levels + 1)]
        return UNetShape(
            down=tuple(down),
            fused=(outputs("fuse_conv.0.double_conv.0.conv.6"), outputs("fuse_conv.1.double_conv.0.conv.6")),
            up=tuple(outputs(f"up{i}.conv.double_conv.0.conv.6") for i in range(1, levels + 1)),
            sound=(
                sound,
                outputs("audio_model.conv1.conv.6"),
                outputs("audio_model.conv2.conv.6"),
                outputs("audio_model.conv3"),
                outputs("audio_model.conv5"),
            ),
            audio=audio,
            nested=nested,
        )


class UNet(nn.Module):
    """(picture [N,6,S,S], sound [N,*audio_shape]) -> mouth picture [N,3,S,S] in 0..1."""

    def __init__(self, shape: UNetShape) -> None:
        super().__init__()
        self.levels = len(shape.down) - 1
        self.audio_model = _Sound(shape.sound, _SOUNDS[shape.audio][0])
        self.fuse_conv = nn.Sequential(
            _Double(shape.down[-1] + shape.sound[-1], shape.fused[0]), _Double(shape.fused[0], shape.fused[1])
        )
        self.inc = _Inc(shape.down[0], shape.nested)
        width = shape.fused[1]
        for i in range(self.levels):
            self.add_module(f"down{i + 1}", _Down(shape.down[i], shape.down[i + 1], shape.nested))
            self.add_module(f"up{i + 1}", _Up(width + shape.down[self.levels - 1 - i], shape.up[i]))
            width = shape.up[i]
        self.outc = _Out(width)

    def forward(self, picture: Tensor, sound: Tensor) -> Tensor:
        skips = [self.inc(picture)]
        for i in range(self.levels):
            skips.append(self.get_submodule(f"down{i + 1}")(skips[-1]))
        x = self.fuse_conv(torch.cat([skips.pop(), self.audio_model(sound)], dim=1))
        for i in range(self.levels):
            x = self.get_submodule(f"up{i + 1}")(x, skips.pop())
        return torch.sigmoid(self.outc(x))
