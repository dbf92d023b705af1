"""Image stage: the net learns to draw a mouth from its TRUE values, onto a picture that shows another mouth.

Audio plays no part here, so an error of the audio stage gives another mouth, never a blurred one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from ..find_torch import find_torch

find_torch()

import torch  # noqa: E402
from torch import Tensor  # noqa: E402

from .nets import MOUTH_VALUES, ImageNet  # noqa: E402
from .picture import Picture, network_input, of_output  # noqa: E402

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Size:
    """How large the net and its training windows are. inner_px: side of the mouth square."""

    inner_px: int
    widths: tuple[int, ...]
    window_px: int  # most steps see only a window of the square: cheaper


SIZES = {
    "s": Size(160, (16, 32, 64, 112), 96),
    "m": Size(160, (24, 48, 96, 160), 96),
    "l": Size(320, (16, 32, 64, 96, 128), 192),
}


@dataclass(frozen=True)
class Pair:
    """Inner pictures [S,S,3] of one pose: with some mouth, and with the mouth of `values` [7]."""

    reference: Picture
    target: Picture
    values: Floats


class Pairs(Protocol):
    """Where pairs come from."""

    def draw(self, rng: np.random.Generator) -> Pair:
        """A pair at random, from the part that is trained on."""


def _compressed(picture: Picture, rng: np.random.Generator) -> Picture:
    """What a lossy background does to the reference."""
    quality = int(rng.integers(70, 97))
    data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def _loss(output: Tensor, target: Tensor, reference: Tensor) -> Tensor:
    weight = 1 + 4 * ((target - reference).abs().amax(1, keepdim=True) > 0.03).float()
    error = output - target
    level = (error.abs() * weight).mean()
    slope = error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()
    return level + 0.5 * slope + 2 * error.square().mean()


class ImageStage:
    """The stage for training.loop. held_out: pairs that are never trained on."""

    name = "image"
    WHOLE_SHARE = 0.15

    def __init__(self, pairs: Pairs, size: Size, *, batch: int = 16, device: str = "cpu", held_out: Sequence[Pair] = ()) -> None:
        self.pairs, self.size, self.batch, self.device, self.held_out = pairs, size, batch, device, held_out
        self.net = ImageNet(size.widths)
        self.model = self.net.to(device=device, memory_format=torch.channels_last)

    def loss(self, rng: np.random.Generator) -> tuple[Tensor, Mapping[str, float]]:
        """Level (more where the mouth moved), slope and square of the difference."""
        side, stride = self.size.inner_px, self.net.stride
        whole = bool(rng.random() < self.WHOLE_SHARE)
        window = side if whole else self.size.window_px
        places = (side - window) // stride + 1
        inputs, targets, values = [], [], []
        for _ in range(self.batch // 2 if whole else self.batch):
            pair = self.pairs.draw(rng)
            reference = _compressed(pair.reference, rng) if rng.random() < 0.5 else pair.reference
            y, x = (stride * int(rng.integers(0, places)) for _ in range(2))
            inputs.append(network_input(reference)[:, y : y + window, x : x + window])
            targets.append(pair.target[y : y + window, x : x + window].transpose(2, 0, 1))
            values.append(pair.values + rng.normal(0, 0.01, MOUTH_VALUES))
        picture = torch.from_numpy(np.stack(inputs)).to(self.device).contiguous(memory_format=torch.channels_last)
        target = torch.from_numpy(np.stack(targets)).to(self.device).float() / 255
        output = self.model(picture, torch.from_numpy(np.stack(values)).to(self.device).float())
        loss = _loss(output, target, picture[:, :3])
        return loss, {"loss": loss.item(), "L1 of 255": 255 * (output.detach() - target).abs().mean().item()}

    def draw_mouths(self, model: torch.nn.Module, pairs: Sequence[Pair]) -> list[Picture]:
        """What the net makes of each pair's reference and values."""
        out: list[Picture] = []
        for first in range(0, len(pairs), 8):
            part = pairs[first : first + 8]
            picture = torch.from_numpy(np.stack([network_input(p.reference) for p in part])).to(self.device)
            values = torch.from_numpy(np.stack([p.values for p in part]).astype(np.float32)).to(self.device)
            out += [of_output(o) for o in model(picture, values).cpu().numpy()]
        return out

    def judge(self, model: torch.nn.Module) -> float | None:
        """Mean L1 in levels of 255 where the held-out target differs from its reference, or None without such pairs."""
        if not self.held_out:
            return None
        errors = []
        for pair, output in zip(self.held_out, self.draw_mouths(model, self.held_out), strict=True):
            moved = np.abs(pair.target.astype(int) - pair.reference.astype(int)).max(2) > 8
            difference = np.abs(output.astype(float) - pair.target).mean(2)
            errors.append(float(difference[moved].mean() if moved.any() else difference.mean()))
        return float(np.mean(errors))

    def preview(self, model: torch.nn.Module, path: Path) -> None:
        """A sheet of up to eight held-out pairs: what the net is given, what it draws, and the truth, from top to bottom."""
        pairs = list(self.held_out)[:: max(1, len(self.held_out) // 8)][:8]
        if not pairs:
            return
        drawn = self.draw_mouths(model, pairs)
        columns = [np.concatenate([p.reference, d, p.target]) for p, d in zip(pairs, drawn, strict=True)]
        part = path.with_name(f".{path.name}")
        part.write_bytes(cv2.imencode(".jpg", np.concatenate(columns, 1), [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes())
        part.replace(path)
