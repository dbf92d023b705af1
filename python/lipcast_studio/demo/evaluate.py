"""Runs the exported models over truth clips as the engine would, and prints what `measure` says."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import numpy as np
from scipy.io import wavfile

from ..psnr import psnr_db
from ..training import agreement
from ..training.mel import RATE_HZ
from ..training.picture import inner_of_crop, inner_picture, mask_of
from ..training.speaker import Speaker
from ..video.ffmpeg import read_frames
from . import measure
from .render import HEIGHT_PX, WIDTH_PX


def speaker_of(folder: Path) -> Speaker:
    """The package's models on its own pictures."""
    boxes = json.loads((folder / "boxes.json").read_text())["boxes"]
    frames = read_frames(folder / "frames.mp4", WIDTH_PX, HEIGHT_PX)
    return Speaker(folder, [inner_picture(f, b) for f, b in zip(frames, boxes, strict=True)])


def areas(speaker: Speaker, wave: np.ndarray) -> np.ndarray:
    """Opening area of every frame that the speaker draws for this sound."""
    return np.array([measure.opening_area(p) for p in speaker.speak(wave)])


def report(folder: Path, log=print) -> dict[str, dict[str, float]]:
    """Every truth clip, silence, noise and the two controls; returns the numbers by clip."""
    speaker = speaker_of(folder)
    found: dict[str, dict[str, float]] = {}
    waves, truths, outputs = {}, {}, {}
    for path in sorted((folder / "truth").glob("*.json")):
        truth = json.loads(path.read_text())
        wave = wavfile.read(folder / "truth" / truth["wav"])[1].astype(np.float32) / 32768
        name, area = path.stem, areas(speaker, wave)
        waves[name], truths[name], outputs[name] = wave, np.array(truth["area_px"]), area
        found[name] = {
            "r": agreement.correlation(area, truths[name]),
            "lag": agreement.best_lag(area, truths[name]),
            "closed": measure.closed_share(area, truth["press"]),
            "closed_runs": measure.pressed_runs_closed(area, truth["press"]),
            "spread": float(area.std() / truths[name].std()),
        }
    voices: dict[str, list[str]] = {}
    for name in found:
        voices.setdefault(name.rsplit("-", 1)[0], []).append(name)
    for voice, names in voices.items():
        found[f"all {voice}"] = {
            "r": agreement.correlation(np.concatenate([outputs[n] for n in names]), np.concatenate([truths[n] for n in names])),
            "closed": float(np.mean([found[n]["closed"] for n in names])),
        }
    rng = np.random.default_rng(1)
    for name, wave in (("silence", np.zeros(3 * RATE_HZ, np.float32)),
                       ("noise -60 dBFS", rng.normal(0, 1e-3, 3 * RATE_HZ).astype(np.float32))):  # fmt: skip
        area = areas(speaker, wave)
        found[name] = {"mean": float(area.mean()), "max": float(area.max())}
    first = next(iter(waves))
    late = areas(speaker, np.pad(waves[first], (RATE_HZ // 5, 0)))[: len(truths[first])]
    found["control: audio 5 frames late"] = {"lag": agreement.best_lag(late, truths[first])}
    names = list(outputs)
    wrong = []
    for a, b in zip(names, names[1:] + names[:1], strict=True):
        n = min(len(outputs[a]), len(truths[b]))
        wrong.append(agreement.correlation(outputs[a][:n], truths[b][:n]))
    found["control: another clip's audio"] = {"max r": max(wrong), "mean r": float(np.mean(wrong))}
    for name, numbers in found.items():
        log(f"{name}: " + ", ".join(f"{k} {v:.3f}" if isinstance(v, float) else f"{k} {v}" for k, v in numbers.items()))
    return found


def picture_quality(folder: Path, renderer, count: int = 60) -> dict[str, float]:
    """End to end pictures against truth pictures: mean PSNR in the mask, by clip."""
    from .render import idle_pose

    speaker = speaker_of(folder)
    out = {}
    for path in sorted((folder / "truth").glob("*-1.json")):
        truth = json.loads(path.read_text())
        wave = wavfile.read(folder / "truth" / truth["wav"])[1].astype(np.float32) / 32768
        pictures = islice(speaker.speak(wave), count)
        scores = []
        for i, drawn in enumerate(pictures):
            true = inner_of_crop(renderer.crops(idle_pose(i), [np.array(truth["values"][i])])[0])
            mask = mask_of(len(true))
            scores.append(psnr_db(drawn[mask], true[mask]))
        out[path.stem] = float(np.mean(scores))
    return out
