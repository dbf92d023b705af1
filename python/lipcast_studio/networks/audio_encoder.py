"""SyncTalk_2D's audio encoder (ave)."""

from __future__ import annotations

from torch import Tensor, nn

from .conv_block import mel_layers


class AudioEncoder(nn.Module):
    """Mel windows [N,1,80,16] -> features [N,512] >= 0."""

    def __init__(self) -> None:
        super().__init__()
        self.audio_encoder = mel_layers()

    def forward(self, mel: Tensor) -> Tensor:
        y: Tensor = self.audio_encoder(mel)
        return y.flatten(1)
