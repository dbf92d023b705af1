"""The pictures that the demo's image stage is trained on: painted poses, each with several known mouths."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..training import loop
from ..training.image_stage import SIZES, ImageStage, Pair
from ..training.picture import inner_of_crop
from . import scene, speech
from .render import LOOP_FRAMES, Pose, Renderer, idle_pose
from .visemes import TARGETS, mouth_track

POSES = 1000
MOUTHS = 6  # targets a pose, beside the mouth at rest
STEPS = 2600
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
            pictures[k] = [inner_of_crop(c) for c in crops]
        part = folder / f"part{shard:02d}.tmp.npz"
        np.savez(part, pictures=pictures, mouths=mouths)
        part.rename(path)
        log(f"image: pairs {shard + 1} of {POSES // _SHARD}")


class RenderedPairs:
    """Pairs out of work/pairs: the reference mostly at rest, sometimes any mouth of the pose."""

    def __init__(self, folder: Path) -> None:
        shards = [np.load(p) for p in sorted(folder.glob("[0-9][0-9].npz"))]
        self.pictures = np.concatenate([s["pictures"] for s in shards])
        self.mouths = np.concatenate([s["mouths"] for s in shards])

    def draw(self, rng: np.random.Generator) -> Pair:
        pose, to = rng.integers(len(self.pictures)), rng.integers(0, 1 + MOUTHS)
        source = 0 if rng.random() < 0.85 else rng.integers(0, 1 + MOUTHS)
        return Pair(self.pictures[pose, source], self.pictures[pose, to], self.mouths[pose, to])


def train(work: Path, steps: int = STEPS, seed: int = 2, log=print) -> dict:
    """-> the image net's weights; goes on from work/image.pt."""
    done = loop.finished_weights(work / "image.pt")
    if done is not None:
        return done
    loop.torch.manual_seed(seed)
    stage = ImageStage(RenderedPairs(work / "pairs"), SIZES["s"])
    settings = loop.Settings(steps, 3e-3, warm_steps=60, seed=seed)
    return loop.run(stage, settings, work / "image.pt", log).weights
