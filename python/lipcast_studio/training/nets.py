"""The networks in PyTorch: the audio encoder, and the generator with its audio branch and image net.

Shapes are the engine's: encoder [N,1,80,16] -> [N,512]; generator ([N,6,S,S], [N,32,16,16]) -> [N,3,S,S].
Between them stand seven mouth values in 0..1, so either side can be trained alone against the truth.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .mel import WINDOW_FRAMES

FEATURES = 512
CONTEXT = 16
MOUTH_VALUES = 7


def _conv_bn(inputs: int, outputs: int, kernel: int, stride: int | tuple[int, int] = 1) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU())


class AudioEncoder(nn.Module):
    """One mel window [N,1,80,16] -> features [N,512] >= 0.

    No convolution is padded or strided in time, so neighbouring windows share their work: `over_time` runs once
    over a whole stretch of mel frames, and a window is a slice of ten of its columns. Training uses that.
    """

    SLICE = WINDOW_FRAMES - 10  # columns of `over_time` that belong to one window

    def __init__(self) -> None:
        super().__init__()
        self.two_d = nn.Sequential(
            nn.Conv2d(1, 12, 5, (2, 1), (2, 0), bias=False), nn.BatchNorm2d(12), nn.ReLU(),
            nn.Conv2d(12, 24, 3, (2, 1), (1, 0), bias=False), nn.BatchNorm2d(24), nn.ReLU(),
            nn.MaxPool2d((2, 1)),
        )  # fmt: skip
        self.one_d = nn.Sequential(
            nn.Conv1d(240, 128, 3, bias=False), nn.BatchNorm1d(128), nn.ReLU(),
            nn.Conv1d(128, 128, 3, bias=False), nn.BatchNorm1d(128), nn.ReLU(),
        )  # fmt: skip
        self.drop = nn.Dropout(0.1)
        self.out = nn.Linear(128 * self.SLICE, FEATURES)

    def over_time(self, mel: Tensor) -> Tensor:
        """[N,1,80,T] -> [N,128,T-10]."""
        return self.one_d(self.two_d(mel).flatten(1, 2))

    def head(self, columns: Tensor) -> Tensor:
        """[N,128,SLICE] -> [N,512]."""
        return torch.relu(self.out(self.drop(columns.flatten(1))))

    def forward(self, mel: Tensor) -> Tensor:
        """[N,1,80,16] -> [N,512]."""
        return self.head(self.over_time(mel))


class AudioBranch(nn.Module):
    """Sixteen feature rows [N,16,512] -> logits of the seven mouth values [N,7].

    Unpadded convolutions here too: `over_rows` of a long stretch, sliced, equals that of each context alone.
    """

    SLICE = CONTEXT - 4
    TRUNK = 160

    def __init__(self, width: int = 96) -> None:
        super().__init__()
        self.narrow = nn.Linear(FEATURES, width)
        self.first = nn.Conv1d(width, width, 3)
        self.second = nn.Conv1d(width, width, 3)
        self.drop = nn.Dropout(0.15)
        self.hidden = nn.Linear(self.SLICE * width, self.TRUNK)
        self.out = nn.Linear(self.TRUNK, MOUTH_VALUES)

    def over_rows(self, rows: Tensor) -> Tensor:
        """[N,T,512] -> [N,width,T-4]."""
        x = torch.relu(self.narrow(rows)).transpose(1, 2)
        x = torch.relu(self.first(x))
        return torch.relu(x[:, :, 1:-1] + self.second(x))

    def trunk(self, columns: Tensor) -> Tensor:
        """[N,width,SLICE] -> [N,160]."""
        return torch.relu(self.hidden(self.drop(columns.flatten(1))))

    def forward(self, rows: Tensor) -> Tensor:
        """[N,16,512] -> [N,7]."""
        return self.out(self.trunk(self.over_rows(rows)))


class _Film(nn.Module):
    """conv + BN, scaled and shifted per channel by the mouth, then ReLU."""

    def __init__(self, inputs: int, outputs: int, mouth: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.film = nn.Linear(mouth, 2 * outputs)

    def forward(self, x: Tensor, mouth: Tensor) -> Tensor:
        scale, shift = self.film(mouth)[:, :, None, None].chunk(2, dim=1)
        return torch.relu(self.norm(self.conv(x)) * (1 + scale) + shift)


class ImageNet(nn.Module):
    """Picture [N,6,H,W] (BGR 0..1, then the same with the mouth masked) + values [N,7] -> BGR [N,3,H,W].

    The output is the reference changed in logit space, so skin that need not move is copied exactly.
    H and W are multiples of `stride`: training uses windows smaller than the engine's square.
    """

    def __init__(self, widths: Sequence[int] = (16, 32, 64, 112)) -> None:
        super().__init__()
        self.stride = 2 ** len(widths)
        first = widths[0]
        self.down = nn.ModuleList(_conv_bn(a, b, 3, 2) for a, b in zip((6, *widths), widths, strict=False))
        self.mouth = nn.Sequential(nn.Linear(MOUTH_VALUES, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU())
        self.bottom = _Film(widths[-1], widths[-1], 64)
        skips = tuple(reversed(widths[:-1]))
        outputs = (*skips[:-1], first * 3 // 2)
        self.up = nn.ModuleList(
            _Film(below + skip, output, 64)
            for below, skip, output in zip((widths[-1], *outputs), skips, outputs, strict=False)
        )  # fmt: skip
        self.widen = _conv_bn(first * 3 // 2, first * 3, 1)
        self.fine = _conv_bn(first * 3 // 4 + 3, first * 3 // 4, 3)
        self.delta = nn.Conv2d(first * 3 // 4, 3, 3, padding=1)
        nn.init.zeros_(self.delta.weight)
        nn.init.zeros_(self.delta.bias)

    def forward(self, picture: Tensor, values: Tensor) -> Tensor:
        reference = picture[:, :3]
        mouth = self.mouth(values)
        x, skips = picture, []
        for layer in self.down:
            x = layer(x)
            skips.append(x)
        x = self.bottom(skips.pop(), mouth)
        for layer in self.up:
            x = layer(torch.cat([F.interpolate(x, scale_factor=2.0), skips.pop()], 1), mouth)
        x = F.pixel_shuffle(self.widen(x), 2)
        x = self.delta(self.fine(torch.cat([x, reference], 1)))
        safe = reference.clamp(0.004, 0.996)
        return torch.sigmoid(torch.log(safe / (1 - safe)) + x)


class Generator(nn.Module):
    """What is exported: picture and audio context in, mouth picture out. The gains scale the values, clipped at 1."""

    def __init__(self, branch: AudioBranch, image: ImageNet, gains: Sequence[float] = (1.0,) * MOUTH_VALUES) -> None:
        super().__init__()
        self.branch = branch
        self.image = image
        self.register_buffer("gain", torch.tensor(tuple(gains)))

    def values(self, audio: Tensor) -> Tensor:
        """[N,32,16,16] -> [N,7]."""
        rows = audio.reshape(audio.shape[0], CONTEXT, FEATURES)
        return (torch.sigmoid(self.branch(rows)) * self.gain).clamp(max=1.0)

    def forward(self, picture: Tensor, audio: Tensor) -> Tensor:
        """([N,6,S,S], [N,32,16,16]) -> [N,3,S,S]."""
        return self.image(picture, self.values(audio))
