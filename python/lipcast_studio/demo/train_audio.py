"""The speech that the demo's audio stage is trained on: clips of many voices whose sounds are known in time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.signal import resample_poly

from ..training import loop
from ..training.audio_stage import AudioStage, Chunk, Clip, clip_of
from ..training.mel import FPS, RATE_HZ, WINDOW_FRAMES
from ..training.nets import MOUTH_VALUES, AudioBranch, AudioEncoder
from . import speech
from .visemes import VISEMES, mouth_track, viseme_track

STEPS = 7000
LOSS_WEIGHTS = (2.0, 1.0, 1.5, 2.0, 2.0, 0.5, 0.7)
WHEN_HIGH = (0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0)  # an m, b or p that stays open is seen more than a mouth shut too often
REST = np.zeros(MOUTH_VALUES, np.float32)


def _clip(clip: speech.Clip, speed: float = 1.0) -> Clip:
    wave, visemes = clip.wave, clip.visemes
    if speed != 1.0:
        wave = resample_poly(wave, 100, round(100 * speed)).astype(np.float32)
        ratio = 100 / round(100 * speed)
        visemes = [(v, a * ratio, b * ratio) for v, a, b in visemes]
    seconds = len(wave) / RATE_HZ
    centre_s = (WINDOW_FRAMES - 1) / 2 / 80
    return clip_of(
        wave, mouth_track(visemes, seconds), REST,
        window_labels=viseme_track(visemes, seconds, FPS, centre_s),
        frame_labels=viseme_track(visemes, seconds, FPS, 0.5 / FPS),
    )  # fmt: skip


def _source_weight(source: speech.Source) -> float:
    """How often a source is drawn: recorded English first, many other speakers, then synthetic ones."""
    if source.engine == "espeak":
        return 0.17 / 39 if source.letters == "english" else 0.06 / 16
    if source.letters == "english":
        return {"flite-awb": 0.12}.get(source.name, 0.08)
    return 0.045


class Corpus:
    """All training clips, each also once at another speed (0.88 to 1.14: pitch, formants and tempo)."""

    rest = REST

    def __init__(self, folder: Path, rng: np.random.Generator) -> None:
        self.clips: list[list[Clip]] = []
        weights = []
        for source in speech.SOURCES:
            clips = speech.load(folder / f"{source.name}.npz") if source.role == "train" else []
            if not clips:
                continue
            self.clips.append([_clip(c) for c in clips] + [_clip(c, float(rng.uniform(0.88, 1.14))) for c in clips])
            weights.append(_source_weight(source))
        self.weights = np.array(weights) / sum(weights)

    def draw(self, rng: np.random.Generator) -> Chunk:
        clips = self.clips[rng.choice(len(self.clips), p=self.weights)]
        return clips[rng.integers(len(clips))].draw(rng)


def train(work: Path, steps: int = STEPS, seed: int = 1, log=print) -> dict:
    """-> the weights of the averaged `encoder.` and `branch.`; goes on from work/audio.pt."""
    done = loop.finished_weights(work / "audio.pt")
    if done is not None:
        return done
    corpus = Corpus(work / "speech", np.random.default_rng(seed))
    log(f"audio: {sum(len(c) for c in corpus.clips)} clips of {len(corpus.clips)} sources")
    loop.torch.manual_seed(seed)
    stage = AudioStage(corpus, AudioEncoder(), AudioBranch(), loss_weights=LOSS_WEIGHTS, when_high=WHEN_HIGH,
                       labels=len(VISEMES), seed=seed)  # fmt: skip
    settings = loop.Settings(steps, 2e-3, weight_decay=0.02, seed=seed, average=True)
    return loop.run(stage, settings, work / "audio.pt", log).weights
