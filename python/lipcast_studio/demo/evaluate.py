"""Runs the exported models over truth clips as the engine would, and prints what `measure` says."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
from scipy.io import wavfile

from ..onnx_file import session
from . import measure
from .mel import FPS, RATE_HZ, contexts, windows
from .render import network_input


def read_frames(path: Path) -> list[np.ndarray]:
    """Decoded video as BGR pictures, BT.709 honoured."""

    command = ["ffmpeg", "-v", "error", "-i", str(path), "-vf", "scale=in_color_matrix=bt709:in_range=tv", "-f", "rawvideo",
               "-pix_fmt", "bgr24", "-"]  # fmt: skip
    raw = subprocess.run(command, check=True, capture_output=True).stdout
    return list(np.frombuffer(raw, np.uint8).reshape(-1, 720, 1280, 3))


class Speaker:
    """The package's two models and pictures, one frame at a time."""

    def __init__(self, folder: Path) -> None:
        self.encoder = session(folder / "audio_encoder.onnx")
        self.generator = session(folder / "generator.onnx")
        boxes = json.loads((folder / "boxes.json").read_text())["boxes"]
        self.inner = [measure.inner_picture(f, b) for f, b in zip(read_frames(folder / "frames.mp4"), boxes, strict=True)]

    def speak(self, wave: np.ndarray) -> list[np.ndarray]:
        """wave [L] -> inner pictures [160,160,3] uint8, ceil(seconds * 25) of them."""
        count = -(-len(wave) * FPS // RATE_HZ)
        features = self.encoder.run(None, {"mel": windows(wave)})[0]
        out = []
        for i, context in enumerate(contexts(features, count)):
            picture = network_input(self.inner[i % len(self.inner)])[None]
            result = self.generator.run(None, {"input": picture, "audio": context[None]})[0][0]
            out.append((result * 255).astype(np.uint8).transpose(1, 2, 0))
        return out

    def areas(self, wave: np.ndarray) -> np.ndarray:
        return np.array([measure.opening_area(p) for p in self.speak(wave)])


def report(folder: Path, log=print) -> dict[str, dict[str, float]]:
    """Every truth clip, silence, noise and the two controls; returns the numbers by clip."""
    speaker = Speaker(folder)
    found: dict[str, dict[str, float]] = {}
    waves, truths, outputs = {}, {}, {}
    for path in sorted((folder / "truth").glob("*.json")):
        truth = json.loads(path.read_text())
        wave = wavfile.read(folder / "truth" / truth["wav"])[1].astype(np.float32) / 32768
        name, area = path.stem, speaker.areas(wave)
        waves[name], truths[name], outputs[name] = wave, np.array(truth["area_px"]), area
        found[name] = {
            "r": measure.correlation(area, truths[name]),
            "lag": measure.best_lag(area, truths[name]),
            "closed": measure.closed_share(area, truth["press"]),
            "closed_runs": measure.pressed_runs_closed(area, truth["press"]),
            "spread": float(area.std() / truths[name].std()),
        }
    voices: dict[str, list[str]] = {}
    for name in found:
        voices.setdefault(name.rsplit("-", 1)[0], []).append(name)
    for voice, names in voices.items():
        found[f"all {voice}"] = {
            "r": measure.correlation(np.concatenate([outputs[n] for n in names]), np.concatenate([truths[n] for n in names])),
            "closed": float(np.mean([found[n]["closed"] for n in names])),
        }
    rng = np.random.default_rng(1)
    for name, wave in (("silence", np.zeros(3 * RATE_HZ, np.float32)),
                       ("noise -60 dBFS", rng.normal(0, 1e-3, 3 * RATE_HZ).astype(np.float32))):  # fmt: skip
        area = speaker.areas(wave)
        found[name] = {"mean": float(area.mean()), "max": float(area.max())}
    first = next(iter(waves))
    late = speaker.areas(np.pad(waves[first], (RATE_HZ // 5, 0)))[: len(truths[first])]
    found["control: audio 5 frames late"] = {"lag": measure.best_lag(late, truths[first])}
    names = list(outputs)
    wrong = []
    for a, b in zip(names, names[1:] + names[:1], strict=True):
        n = min(len(outputs[a]), len(truths[b]))
        wrong.append(measure.correlation(outputs[a][:n], truths[b][:n]))
    found["control: another clip's audio"] = {"max r": max(wrong), "mean r": float(np.mean(wrong))}
    for name, numbers in found.items():
        log(f"{name}: " + ", ".join(f"{k} {v:.3f}" if isinstance(v, float) else f"{k} {v}" for k, v in numbers.items()))
    return found


def picture_quality(folder: Path, renderer, count: int = 60) -> dict[str, float]:
    """End to end pictures against truth pictures: mean PSNR in the mask, by clip."""
    from .render import idle_pose, inner_picture

    speaker = Speaker(folder)
    out = {}
    for path in sorted((folder / "truth").glob("*-1.json")):
        truth = json.loads(path.read_text())
        wave = wavfile.read(folder / "truth" / truth["wav"])[1].astype(np.float32) / 32768
        pictures = speaker.speak(wave)[:count]
        scores = [measure.psnr(p, inner_picture(renderer.crops(idle_pose(i), [np.array(truth["values"][i])])[0]))
                  for i, p in enumerate(pictures)]  # fmt: skip
        out[path.stem] = float(np.mean(scores))
    return out
