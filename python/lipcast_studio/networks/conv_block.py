"""The convolution block that Wav2Lip and SyncTalk_2D's audio encoder are built of."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

Pair = int | tuple[int, int]


class ConvBlock(nn.Module):
    """Convolution with bias, batch norm, plus the input where nothing changes size, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: Pair = 1, padding: int = 0,
                 *, residual: bool = False, transposed: bool = False, output_padding: int = 0) -> None:  # fmt: skip
        super().__init__()
        self.residual = residual
        conv: Any = (
            nn.ConvTranspose2d(inputs, outputs, kernel, stride, padding, output_padding)
            if transposed
            else nn.Conv2d(inputs, outputs, kernel, stride, padding)
        )
        self.conv_block = nn.Sequential(conv, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv_block(x)
        return torch.relu(x + y if self.residual else y)


def same(width: int) -> ConvBlock:
    """3x3, size and channels kept, residual."""
    return ConvBlock(width, width, 3, 1, 1, residual=True)


def mel_layers() -> nn.Sequential:
    """[N,1,80,16] -> [N,512,1,1]: both families hear with the same thirteen layers."""
    return nn.Sequential(
        ConvBlock(1, 32, 3, 1, 1), same(32), same(32),
        ConvBlock(32, 64, 3, (3, 1), 1), same(64), same(64),
        ConvBlock(64, 128, 3, 3, 1), same(128), same(128),
        ConvBlock(128, 256, 3, (3, 2), 1), same(256),
        ConvBlock(256, 512, 3), ConvBlock(512, 512, 1),
    )  # fmt: skip
