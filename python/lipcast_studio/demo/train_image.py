"""Image stage: the net learns to draw a mouth from its TRUE values, on rendered pairs.

A pair is (reference: the pose with the mouth at rest, or sometimes any mouth; target: the same pose, other mouth).
Audio plays no part here, so an error of the audio stage gives another mouth, never a blurred one.
"""

from __future__ import annotations

import time
from pathlib import Path

import cv2
import numpy as np
import torch

from . import scene, speech
from .nets import ImageNet
from .render import LOOP_FRAMES, Pose, Renderer, idle_pose, inner_picture, network_input
from .visemes import TARGETS, mouth_track

POSES = 1000
MOUTHS = 6  # targets a pose, beside the mouth at rest
STEPS = 2600
BATCH = 16
WINDOW_PX = 96  # most steps see only a window of the picture: 2.8 times cheaper
_SHARD = 100


def random_mouths(count: int, speech_values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """[count,7]: 55 % from speech, 35 % mixtures of visemes, 10 % near rest."""
    table = np.array(list(TARGETS.values()), np.float32)
    out = np.zeros((count, 7), np.float32)
    for i in range(count):
        draw = rng.random()
        if draw < 0.55:
            out[i] = speech_values[rng.integers(len(speech_values))]
        elif draw < 0.90:
            picks = table[rng.integers(0, len(table), 4)]
            out[i] = rng.dirichlet(np.full(4, 0.5)) @ picks
        else:
            out[i] = table[0] + rng.uniform(0, 0.04, 7)
    return out


def random_pose(rng: np.random.Generator) -> Pose:
    """Mostly the loop's own poses at any moment of it, a little shaken."""
    base = idle_pose(rng.uniform(0, LOOP_FRAMES))
    shake = rng.normal(0, 1, 6) * ((0.8, 0.5, 0.25, 0.7, 0.5, 0.4) if rng.random() < 0.5 else (0,) * 6)
    return Pose(base.x + shake[0], base.y + shake[1], base.roll + shake[2], base.yaw + shake[3],
                base.pitch + shake[4], base.breath + shake[5])  # fmt: skip


def make_pairs(work: Path, seed: int = 3, log=print, backwards: bool = False) -> None:
    """work/pairs/NN.npz: pictures [poses, 1 + MOUTHS, 160,160,3] uint8 (first = rest) and values.

    A second process may work backwards until the two meet.
    """
    folder = work / "pairs"
    folder.mkdir(exist_ok=True)
    values = []
    for source in speech.SOURCES:
        if source.role == "train":
            values += [mouth_track(c.visemes, c.seconds) for c in speech.load(work / "speech" / f"{source.name}.npz")[:12]]
    speech_values = np.concatenate(values)
    renderer: Renderer | None = None
    shards = range(POSES // _SHARD)
    for shard in reversed(shards) if backwards else shards:
        path = folder / f"{shard:02d}.npz"
        if path.exists():
            continue
        renderer = renderer or Renderer(scene.load_or_build(work))
        rng = np.random.default_rng([seed, shard])
        pictures = np.empty((_SHARD, 1 + MOUTHS, 160, 160, 3), np.uint8)
        mouths = np.zeros((_SHARD, 1 + MOUTHS, 7), np.float32)
        for k in range(_SHARD):
            mouths[k, 1:] = random_mouths(MOUTHS, speech_values, rng)
            crops = renderer.crops(random_pose(rng), list(mouths[k]))
            pictures[k] = [inner_picture(c) for c in crops]
        part = folder / f"part{shard:02d}.tmp.npz"
        np.savez(part, pictures=pictures, mouths=mouths)
        part.rename(path)
        log(f"image: pairs {shard + 1} of {POSES // _SHARD}")


def _compressed(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What a lossy background does to the reference."""
    quality = int(rng.integers(70, 97))
    return cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)


def _loss(output: torch.Tensor, target: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    weight = 1 + 4 * ((target - reference).abs().amax(1, keepdim=True) > 0.03).float()
    error = output - target
    level = (error.abs() * weight).mean()
    slope = error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()
    return level + 0.5 * slope + 2 * error.square().mean()


def train(work: Path, steps: int = STEPS, seed: int = 2, log=print) -> None:
    """-> work/image.pt; resumes from work/image_resume.pt."""
    torch.manual_seed(seed)
    shards = [np.load(p) for p in sorted((work / "pairs").glob("[0-9][0-9].npz"))]
    pictures = np.concatenate([s["pictures"] for s in shards])
    mouths = np.concatenate([s["mouths"] for s in shards])
    net = ImageNet().to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=1e-4)
    resume, first = work / "image_resume.pt", 0
    if resume.exists():
        state = torch.load(resume)
        net.load_state_dict(state["net"])
        optimiser.load_state_dict(state["optimiser"])
        first = state["step"]
    rng = np.random.default_rng([seed, first])
    net.train()
    began, shown = time.monotonic(), []
    for step in range(first, steps):
        for group in optimiser.param_groups:
            group["lr"] = 3e-3 * min(1.0, (step + 1) / 60) * (0.5 + 0.5 * np.cos(np.pi * step / steps)) + 1e-6
        whole = rng.random() < 0.15
        count = BATCH // 2 if whole else BATCH
        inputs, targets, values = [], [], []
        for _ in range(count):
            pose, to = rng.integers(len(pictures)), rng.integers(0, 1 + MOUTHS)
            source = 0 if rng.random() < 0.85 else rng.integers(0, 1 + MOUTHS)
            reference = pictures[pose, source]
            if rng.random() < 0.5:
                reference = _compressed(reference, rng)
            y, x = (0, 0) if whole else (16 * rng.integers(0, 5), 16 * rng.integers(0, 5))
            side = 160 if whole else WINDOW_PX
            inputs.append(network_input(reference)[:, y : y + side, x : x + side])
            targets.append(pictures[pose, to][y : y + side, x : x + side].transpose(2, 0, 1))
            values.append(mouths[pose, to] + rng.normal(0, 0.01, 7))
        picture = torch.from_numpy(np.stack(inputs)).contiguous(memory_format=torch.channels_last)
        target = torch.from_numpy(np.stack(targets)).float() / 255
        output = net(picture, torch.from_numpy(np.stack(values)).float())
        loss = _loss(output, target, picture[:, :3])
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        shown.append([loss.item(), 255 * (output.detach() - target).abs().mean().item()])
        if (step + 1) % 50 == 0:
            pace = (time.monotonic() - began) / (step + 1 - first)
            log(f"image: step {step + 1}: loss, L1 of 255 = {np.mean(shown, 0).round(4)}, {pace:.3f} s a step")
            shown = []
        if (step + 1) % 200 == 0 or step + 1 == steps:
            torch.save({"net": net.state_dict(), "optimiser": optimiser.state_dict(), "step": step + 1}, resume)
    torch.save(net.state_dict(), work / "image.pt")
