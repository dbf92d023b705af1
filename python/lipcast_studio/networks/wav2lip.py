"""Wav2Lip at 96 px."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .conv_block import ConvBlock, mel_layers, same


def _down(inputs: int, outputs: int, kept: int) -> nn.Sequential:
    return nn.Sequential(ConvBlock(inputs, outputs, 3, 2, 1), *[same(outputs) for _ in range(kept)])


def _up(inputs: int, outputs: int) -> nn.Sequential:
    first = ConvBlock(inputs, outputs, 3, 2, 1, transposed=True, output_padding=1)
    return nn.Sequential(first, same(outputs), same(outputs))


class Wav2Lip(nn.Module):
    """(mel [N,1,80,16], picture [N,6,96,96], masked copy first) -> [N,3,96,96] in 0..1."""

    def __init__(self) -> None:
        super().__init__()
        self.face_encoder_blocks = nn.ModuleList([
            nn.Sequential(ConvBlock(6, 16, 7, 1, 3)),
            _down(16, 32, 2), _down(32, 64, 3), _down(64, 128, 2), _down(128, 256, 2), _down(256, 512, 1),
            nn.Sequential(ConvBlock(512, 512, 3), ConvBlock(512, 512, 1)),
        ])  # fmt: skip
        self.audio_encoder = mel_layers()
        self.face_decoder_blocks = nn.ModuleList([
            nn.Sequential(ConvBlock(512, 512, 1)),
            nn.Sequential(ConvBlock(1024, 512, 3, transposed=True), same(512)),
            _up(1024, 512), _up(768, 384), _up(512, 256), _up(320, 128), _up(160, 64),
        ])  # fmt: skip
        self.output_block = nn.Sequential(ConvBlock(80, 32, 3, 1, 1), nn.Conv2d(32, 3, 1), nn.Sigmoid())

    def forward(self, mel: Tensor, picture: Tensor) -> Tensor:
        faces = []
        face = picture
        for encode in self.face_encoder_blocks:
            face = encode(face)
            faces.append(face)
        x = self.audio_encoder(mel)
        for decode in self.face_decoder_blocks:
            x = torch.cat([decode(x), faces.pop()], dim=1)
        y: Tensor = self.output_block(x)
        return y
