"""Audio stage: encoder and audio branch learn the seven mouth values from augmented mel windows.

A chunk is 55 windows (2.2 s) and yields 40 video frames by the engine's own context rule. Augmentation works on
linear band magnitudes, where gain, filter, reverberation and noise are products and sums.
"""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.signal import lfilter, resample_poly
from torch import Tensor
from torch.nn import functional as F

from . import speech
from .mel import BANDS, FPS, RATE_HZ, WINDOW_FRAMES, compress, linear_mel, mel_bank, window_start
from .nets import AudioBranch, AudioEncoder
from .visemes import mouth_track, viseme_track

CHUNK_WINDOWS = 55
CHUNK_FRAMES = CHUNK_WINDOWS - 15
FIRST_FRAME = 9  # of the chunk's windows; frame i needs windows i-9 .. i+6
BATCH = 16
STEPS = 4000
_MEL_FRAMES = window_start(CHUNK_WINDOWS - 1) + WINDOW_FRAMES
_COLUMNS = torch.tensor([window_start(i) for i in range(CHUNK_WINDOWS)])[:, None] + torch.arange(AudioEncoder.SLICE)
_PAD_WINDOWS = 15  # silence before and after a clip; 5 windows are exactly 16 mel frames
_LOSS_WEIGHTS = torch.tensor([2.0, 1.0, 1.5, 2.0, 2.0, 0.5, 0.7])


@dataclass
class Item:
    """One clip, padded with silence: linear mel [T,80], values [n,7], viseme at window centres and at frames [n]."""

    mel: np.ndarray
    values: np.ndarray
    window_viseme: np.ndarray
    frame_viseme: np.ndarray


def _item(clip: speech.Clip, speed: float = 1.0) -> Item:
    wave, visemes = clip.wave, clip.visemes
    if speed != 1.0:
        wave = resample_poly(wave, 100, round(100 * speed)).astype(np.float32)
        ratio = 100 / round(100 * speed)
        visemes = [(v, a * ratio, b * ratio) for v, a, b in visemes]
    seconds = len(wave) / RATE_HZ
    pad = _PAD_WINDOWS * 16 // 5
    mel = np.pad(linear_mel(wave), ((pad, pad + _MEL_FRAMES), (0, 0)))
    windows = len(mel) * FPS // 80
    centre_s = (WINDOW_FRAMES - 1) / 2 / 80

    def padded(track: np.ndarray) -> np.ndarray:
        after = max(0, windows - _PAD_WINDOWS - len(track))
        return np.pad(track, [(_PAD_WINDOWS, after)] + [(0, 0)] * (track.ndim - 1))

    return Item(
        mel,
        padded(mouth_track(visemes, seconds)),
        padded(viseme_track(visemes, seconds, FPS, centre_s)),
        padded(viseme_track(visemes, seconds, FPS, 0.5 / FPS)),
    )


def _source_weight(source: speech.Source) -> float:
    """How often a source is drawn: recorded English first, many other speakers, then synthetic ones."""
    if source.engine == "espeak":
        return 0.17 / 39 if source.letters == "english" else 0.06 / 16
    if source.letters == "english":
        return {"flite-awb": 0.12}.get(source.name, 0.08)
    return 0.045


class Corpus:
    """All training clips, each also once at another speed (0.88 to 1.14: pitch, formants and tempo)."""

    def __init__(self, folder: Path, rng: np.random.Generator) -> None:
        self.items: list[list[Item]] = []
        weights = []
        for source in speech.SOURCES:
            clips = speech.load(folder / f"{source.name}.npz") if source.role == "train" else []
            if not clips:
                continue
            items = [_item(c) for c in clips]
            items += [_item(c, float(rng.uniform(0.88, 1.14))) for c in clips]
            self.items.append(items)
            weights.append(_source_weight(source))
        self.weights = np.array(weights) / sum(weights)

    def draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """-> linear mel [_MEL_FRAMES, 80], values [40,7], window visemes [55], frame visemes [40]."""
        items = self.items[rng.choice(len(self.items), p=self.weights)]
        item = items[rng.integers(len(items))]
        starts = (len(item.mel) - _MEL_FRAMES) // 16
        first = 5 * int(rng.integers(0, starts + 1))
        at = first * 16 // 5
        frames = slice(first + FIRST_FRAME, first + FIRST_FRAME + CHUNK_FRAMES)
        return (item.mel[at : at + _MEL_FRAMES], item.values[frames], item.window_viseme[first : first + CHUNK_WINDOWS],
                item.frame_viseme[frames])  # fmt: skip


class Augment:
    """Voices, rooms and microphones that are not in the corpus, on linear mel [T,80]."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        bank = mel_bank()
        self.centre_hz = (bank * np.arange(bank.shape[1])).sum(1) / bank.sum(1) * 20.0
        self.white = linear_mel(rng.standard_normal(60 * RATE_HZ).astype(np.float32))  # per unit of sigma
        self.shape = self.white.mean(0)

    def _curve(self, points: int, spread_db: float) -> np.ndarray:
        gains = self.rng.uniform(-spread_db, spread_db, points)
        return 10 ** (np.interp(np.linspace(0, 1, BANDS), np.linspace(0, 1, points), gains) / 20)

    def _noise(self, frames: int, sigma: float) -> np.ndarray:
        rng = self.rng
        at = rng.integers(0, len(self.white) - frames)
        noise = self.white[at : at + frames] * sigma
        noise = noise * (self.shape.mean() / self.shape) ** rng.uniform(0, 1.2) * self._curve(4, 10)
        if rng.random() < 0.3:
            noise = noise * (1 + 0.9 * np.sin(rng.uniform(0, 6) + np.arange(frames) * rng.uniform(0.02, 0.5)))[:, None]
        return noise

    def __call__(self, mel: np.ndarray, silent: bool) -> np.ndarray:
        """-> normalised decibels [T,80]."""
        rng = self.rng
        x = np.zeros_like(mel) if silent else mel
        if silent:
            if rng.random() < 0.7:
                x = x + self._noise(len(x), 10 ** (rng.uniform(-85, -28) / 20))
            return compress(x)
        if rng.random() < 0.7:
            warped = self.centre_hz * rng.uniform(0.84, 1.19)
            place = np.interp(warped, self.centre_hz, np.arange(BANDS))
            low = np.minimum(place.astype(int), BANDS - 2)
            part = (place - low).astype(np.float32)
            x = x[:, low] * (1 - part) + x[:, low + 1] * part
        if rng.random() < 0.7:
            x = x * self._curve(5, 9)
        if rng.random() < 0.2:
            x = x / (1 + (self.centre_hz / rng.uniform(3000, 7000)) ** rng.uniform(8, 24))
        if rng.random() < 0.4:
            keep = np.exp(-1 / (80 * rng.uniform(0.03, 0.25)))
            tail = lfilter([rng.uniform(0.05, 0.5) * (1 - keep)], [1, -keep], x**2, axis=0)
            x = np.sqrt(x**2 + tail)
        gain_db = rng.uniform(-20, 8)
        if rng.random() < 0.65:
            x = np.sqrt(x**2 + self._noise(len(x), 0.07 * 10 ** (-rng.uniform(6, 48) / 20)) ** 2)
        out = compress(x * 10 ** (gain_db / 20))
        if rng.random() < 0.3:
            width, at = int(rng.integers(1, 9)), int(rng.integers(0, BANDS - 8))
            out[:, at : at + width] = out[:, at : at + width].mean()
        return out


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


def _average(mean: torch.nn.Module, model: torch.nn.Module, keep: float) -> None:
    with torch.no_grad():
        for a, b in zip(mean.state_dict().values(), model.state_dict().values(), strict=True):
            if a.dtype.is_floating_point:
                a.mul_(keep).add_(b, alpha=1 - keep)
            else:
                a.copy_(b)


def train(work: Path, steps: int = STEPS, seed: int = 1, log=print) -> None:
    """-> work/audio.pt with the averaged encoder and branch; resumes from work/audio_resume.pt."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    corpus = Corpus(work / "speech", rng)
    log(f"audio: {sum(len(i) for i in corpus.items)} clips of {len(corpus.items)} sources")
    augment = Augment(rng)
    encoder, branch = AudioEncoder(), AudioBranch()
    window_head = torch.nn.Linear(512, branch.viseme.out_features)
    model = torch.nn.ModuleDict({"encoder": encoder, "branch": branch, "window_head": window_head})
    mean = copy.deepcopy(model)
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.02)
    first = 0
    resume = work / "audio_resume.pt"
    if resume.exists():
        state = torch.load(resume)
        model.load_state_dict(state["model"])
        mean.load_state_dict(state["mean"])
        optimiser.load_state_dict(state["optimiser"])
        first = state["step"]
        rng = np.random.default_rng([seed, first])
        augment.rng = rng
    model.train()
    began = time.monotonic()
    shown: list[list[float]] = []
    for step in range(first, steps):
        warm = min(1.0, (step + 1) / 100)
        for group in optimiser.param_groups:
            group["lr"] = 2e-3 * warm * (0.5 + 0.5 * np.cos(np.pi * step / steps)) + 1e-6
        mels, values, window_labels, frame_labels = [], [], [], []
        for _ in range(BATCH):
            mel, value, window_label, frame_label = corpus.draw(rng)
            silent = rng.random() < 0.06
            mels.append(augment(mel, silent).T)
            values.append(value * (not silent))
            window_labels.append(window_label * (not silent))
            frame_labels.append(frame_label * (not silent))
        target = torch.from_numpy(np.stack(values))
        columns = encoder.over_time(torch.from_numpy(np.stack(mels))[:, None])[:, :, _COLUMNS]
        features = encoder.head(columns.transpose(1, 2).flatten(0, 1))
        rows = stream_edges(features.reshape(BATCH, CHUNK_WINDOWS, -1), rng)
        contexts = branch.over_rows(rows).unfold(2, AudioBranch.SLICE, 1).transpose(1, 2)
        trunk = branch.trunk(contexts.flatten(0, 1))
        logits = branch.out(trunk).reshape(BATCH, CHUNK_FRAMES, -1)
        quiet = (target.sum(2, keepdim=True) < 0.03).float()
        weight = _LOSS_WEIGHTS * (1 + 1.5 * quiet)
        predicted = torch.sigmoid(logits)
        cross = (F.binary_cross_entropy_with_logits(logits, target, reduction="none") * weight).mean()
        level = ((predicted - target).abs() * weight).mean()
        change = ((predicted.diff(dim=1) - target.diff(dim=1)).abs() * _LOSS_WEIGHTS).mean()
        label = F.cross_entropy(branch.viseme(trunk), torch.from_numpy(np.concatenate(frame_labels)))
        label_window = F.cross_entropy(window_head(features), torch.from_numpy(np.concatenate(window_labels)))
        loss = cross + 0.5 * level + 0.5 * change + 0.1 * label + 0.05 * label_window
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        _average(mean, model, min(0.998, (step + 1) / (step + 20)))
        shown.append([cross.item(), level.item(), label.item(), label_window.item()])
        if (step + 1) % 50 == 0:
            pace = (time.monotonic() - began) / (step + 1 - first)
            log(f"audio: step {step + 1}: bce, l1, viseme, window = {np.mean(shown, 0).round(4)}, {pace:.3f} s a step")
            shown = []
        if (step + 1) % 300 == 0 or step + 1 == steps:
            torch.save({"model": model.state_dict(), "mean": mean.state_dict(), "optimiser": optimiser.state_dict(),
                        "step": step + 1}, resume)  # fmt: skip
    torch.save({"encoder": mean["encoder"].state_dict(), "branch": mean["branch"].state_dict()}, work / "audio.pt")
