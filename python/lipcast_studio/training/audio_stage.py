"""Audio stage: encoder and audio branch learn the seven mouth values from augmented mel windows.

A chunk is 55 windows (2.2 s) and yields 40 video frames by the engine's own context rule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ..find_torch import find_torch

find_torch()

import torch  # noqa: E402
from torch import Tensor  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from .augment import Augment  # noqa: E402
from .mel import FPS, WINDOW_FRAMES, contexts, linear_mel, window_start, windows  # noqa: E402
from .nets import CONTEXT, FEATURES, MOUTH_VALUES, AudioBranch, AudioEncoder  # noqa: E402

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]

CHUNK_WINDOWS = 55
CHUNK_FRAMES = CHUNK_WINDOWS - 15
FIRST_FRAME = 9  # of the chunk's windows; frame i needs windows i-9 .. i+6
MEL_FRAMES = window_start(CHUNK_WINDOWS - 1) + WINDOW_FRAMES
PAD_WINDOWS = 15  # silence before and after a clip; 5 windows are exactly 16 mel frames
_COLUMNS = torch.tensor([window_start(i) for i in range(CHUNK_WINDOWS)])[:, None] + torch.arange(AudioEncoder.SLICE)
_SILENT_SHARE = 0.06
_QUIET_WEIGHT = 2.5  # of frames without speech: a mouth that moves in silence is the worst fault


@dataclass(frozen=True)
class Chunk:
    """Linear mel [MEL_FRAMES,80], true values [40,7], weights [40] (0: unknown), labels of windows [55] and frames [40]."""

    mel: Floats
    values: Floats
    weight: Floats
    window_labels: Labels | None = None
    frame_labels: Labels | None = None


class Speech(Protocol):
    """Where chunks come from. `rest` [7] is the mouth in silence."""

    rest: Floats

    def draw(self, rng: np.random.Generator) -> Chunk:
        """A chunk at random."""


@dataclass(frozen=True)
class Clip:
    """One sound, padded with silence: linear mel [T,80], values [n,7], weight [n], labels at window centres and frames."""

    mel: Floats
    values: Floats
    weight: Floats
    window_labels: Labels | None = None
    frame_labels: Labels | None = None

    def draw(self, rng: np.random.Generator) -> Chunk:
        """Any 2.2 s that begin at a whole fifth window."""
        starts = (len(self.mel) - MEL_FRAMES) // 16
        first = 5 * int(rng.integers(0, starts + 1))
        at = first * 16 // 5
        frames = slice(first + FIRST_FRAME, first + FIRST_FRAME + CHUNK_FRAMES)
        return Chunk(
            self.mel[at : at + MEL_FRAMES], self.values[frames], self.weight[frames],
            None if self.window_labels is None else self.window_labels[first : first + CHUNK_WINDOWS],
            None if self.frame_labels is None else self.frame_labels[frames],
        )  # fmt: skip


def clip_of(wave: Floats, values: Floats, rest: Floats, *, known: npt.NDArray[np.bool_] | None = None,
            window_labels: Labels | None = None, frame_labels: Labels | None = None) -> Clip:  # fmt: skip
    """wave [L], values [n,7] of its frames; known [n]: frames whose values count. Silence at both ends has `rest`."""
    pad = PAD_WINDOWS * 16 // 5
    mel = np.pad(linear_mel(wave), ((pad, pad + MEL_FRAMES), (0, 0)))
    count = len(mel) * FPS // 80
    after = max(0, count - PAD_WINDOWS - len(values))

    def padded(labels: Labels | None) -> Labels | None:
        return None if labels is None else np.pad(labels, (PAD_WINDOWS, max(0, count - PAD_WINDOWS - len(labels))))

    track = np.concatenate([np.tile(rest, (PAD_WINDOWS, 1)), values, np.tile(rest, (after, 1))]).astype(np.float32)
    quiet = np.abs(track - rest).sum(1) < 0.03
    weight = np.where(quiet, _QUIET_WEIGHT, 1.0).astype(np.float32)
    if known is not None:
        weight[PAD_WINDOWS : PAD_WINDOWS + len(values)] *= known
    return Clip(mel, track, weight, padded(window_labels), padded(frame_labels))


def stream_edges(features: Tensor, rng: np.random.Generator) -> Tensor:
    """features [B,55,F] as they are, but some chunks begin or end a stream (a doubled row, then zeros)."""
    rows = features.clone()
    for b in range(len(rows)):
        draw = rng.random()
        if draw < 0.08:  # the stream starts at window z + 1, its row is doubled, and zeros lie before
            z = int(rng.integers(0, 9))
            rows[b, z] = rows[b, z + 1]
            rows[b, :z] = 0
        elif draw < 0.10:
            z = int(rng.integers(1, 7))
            rows[b, -z] = rows[b, -z - 1]
            if z > 1:
                rows[b, -z + 1 :] = 0
    return rows


def values_of(encoder: AudioEncoder, branch: AudioBranch, wave: Floats, device: str = "cpu") -> Floats:
    """wave [L] -> values [ceil(seconds * 25), 7] in 0..1. The networks in eval mode, on `device`, without gradients."""
    heard = torch.from_numpy(windows(wave)).to(device)
    features = torch.cat([encoder(part) for part in heard.split(64)]).cpu().numpy()
    rows = torch.from_numpy(contexts(features, len(heard) - 7)).reshape(-1, CONTEXT, FEATURES)
    found = [torch.sigmoid(branch(part.to(device))) for part in rows.split(64)]
    return np.asarray(torch.cat(found).cpu().numpy(), np.float32)


class AudioStage:
    """The stage for training.loop. labels: how many classes a chunk's labels have; 0 trains without them.

    keep_encoder leaves the encoder's weights as they are, in eval mode. held_out: a sound and the values of its
    frames, with what counts of them. when_high: how much more a frame counts in a value that is 1 than in one that is 0.
    """

    name = "audio"

    def __init__(self, speech: Speech, encoder: AudioEncoder, branch: AudioBranch, *, loss_weights: Sequence[float],
                 when_high: Sequence[float] = (0.0,) * MOUTH_VALUES, labels: int = 0, batch: int = 16,
                 keep_encoder: bool = False, device: str = "cpu", seed: int = 1,
                 held_out: tuple[Floats, Floats, npt.NDArray[np.bool_]] | None = None) -> None:  # fmt: skip
        self.speech, self.encoder, self.branch = speech, encoder, branch
        self.labels, self.batch, self.keep_encoder, self.device = labels, batch, keep_encoder, device
        heads = {}
        if labels:  # training aids, absent from what is exported
            heads = {"window_head": torch.nn.Linear(FEATURES, labels), "frame_head": torch.nn.Linear(branch.TRUNK, labels)}
        self.model = torch.nn.ModuleDict({"encoder": encoder, "branch": branch, **heads}).to(device)
        self.weights = torch.tensor(tuple(loss_weights), device=device)
        self.when_high = torch.tensor(tuple(when_high), device=device)
        self.augment = Augment(seed)
        self._held_out = held_out
        if keep_encoder:
            for parameter in encoder.parameters():
                parameter.requires_grad_(False)

    def loss(self, rng: np.random.Generator) -> tuple[Tensor, Mapping[str, float]]:
        """Soft cross entropy, level and change of the values; and of the labels where there are any."""
        mels, chunks, silent = [], [], []
        for _ in range(self.batch):
            chunk = self.speech.draw(rng)
            quiet = bool(rng.random() < _SILENT_SHARE)
            mels.append((self.augment.silence(rng, MEL_FRAMES) if quiet else self.augment(rng, chunk.mel)).T)
            chunks.append(chunk)
            silent.append(quiet)
        rest = self.speech.rest
        truth = np.stack([np.tile(rest, (CHUNK_FRAMES, 1)) if q else c.values for c, q in zip(chunks, silent, strict=True)])
        share = np.stack([np.full(CHUNK_FRAMES, _QUIET_WEIGHT) if q else c.weight for c, q in zip(chunks, silent, strict=True)])
        target = torch.from_numpy(truth.astype(np.float32)).to(self.device)
        counted = torch.from_numpy(share.astype(np.float32))[:, :, None].to(self.device)
        mel = torch.from_numpy(np.stack(mels))[:, None].to(self.device)
        if self.keep_encoder:
            self.encoder.eval()
        with torch.set_grad_enabled(not self.keep_encoder):
            columns = self.encoder.over_time(mel)[:, :, _COLUMNS]
            features = self.encoder.head(columns.transpose(1, 2).flatten(0, 1))
        rows = stream_edges(features.reshape(self.batch, CHUNK_WINDOWS, -1), rng)
        slices = self.branch.over_rows(rows).unfold(2, AudioBranch.SLICE, 1).transpose(1, 2)
        trunk = self.branch.trunk(slices.flatten(0, 1))
        logits = self.branch.out(trunk).reshape(self.batch, CHUNK_FRAMES, -1)
        predicted = torch.sigmoid(logits)
        weight = self.weights * (1 + self.when_high * target) * counted
        cross = (F.binary_cross_entropy_with_logits(logits, target, reduction="none") * weight).mean()
        level = ((predicted - target).abs() * weight).mean()
        both = (counted[:, 1:] > 0) & (counted[:, :-1] > 0)
        change = ((predicted.diff(dim=1) - target.diff(dim=1)).abs() * self.weights * both).mean()
        loss = cross + 0.5 * level + 0.5 * change
        if self.labels:
            of_frames = self._labels([c.frame_labels for c in chunks], silent)
            of_windows = self._labels([c.window_labels for c in chunks], silent)
            loss = loss + 0.1 * F.cross_entropy(self.model["frame_head"](trunk), of_frames)
            loss = loss + 0.05 * F.cross_entropy(self.model["window_head"](features), of_windows)
        return loss, {"cross entropy": cross.item(), "L1": level.item()}

    def _labels(self, of_chunks: Sequence[Labels | None], silent: Sequence[bool]) -> Tensor:
        """All chunks' labels in a row; 0 (silence) where the chunk was silenced."""
        known = [labels for labels in of_chunks if labels is not None]
        picked = [np.zeros_like(labels) if quiet else labels for labels, quiet in zip(known, silent, strict=True)]
        return torch.from_numpy(np.concatenate(picked)).to(self.device)

    def predict(self, model: torch.nn.Module, wave: Floats) -> Floats:
        """wave [L] -> values [ceil(seconds * 25), 7] in 0..1."""
        return values_of(model["encoder"], model["branch"], wave, self.device)

    def judge(self, model: torch.nn.Module) -> float | None:
        """Weighted L1 of the values over the held-out sound."""
        if self._held_out is None:
            return None
        wave, values, known = self._held_out
        found = self.predict(model, wave)[: len(values)]
        weights = self.weights.cpu().numpy()
        error = (np.abs(found - values[: len(found)]) * weights).sum(1) / weights.sum()
        return float(error[known[: len(found)]].mean())

    def preview(self, model: torch.nn.Module, path: Path) -> None:
        """The audio stage has no picture."""
