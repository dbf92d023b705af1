"""What an avatar is made to say: its truth clips, where it ships any, else a sound whose loudness the mouth must follow."""

from __future__ import annotations

import json
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..demo.measure import Track
from ..engine import inspect
from ..errors import StudioError

SILENCE_S = 3
_RATE_HZ = 16_000


@dataclass(frozen=True)
class Clip:
    """A sound, and the true opening and press flag of each frame [n] where they are known (demo/truth.py)."""

    name: str
    path: Path
    area_px: Track | None = None
    press: Track | None = None


def _truth(path: Path, fps: Any) -> Clip:
    try:
        data = json.loads(path.read_text("utf-8"))
        area, press = np.array(data["area_px"], float), np.array(data["press"], float)
        sound = (path.parent / data["wav"]).resolve()
        rate, count = data["fps"], data["frame_count"]
    except (ValueError, KeyError, TypeError) as error:
        raise StudioError(f"{path}: not a truth clip: {error!r}") from None
    if not area.shape == press.shape == (count,):
        raise StudioError(f"{path}: area_px of {area.shape}, press of {press.shape}: want frame_count = {count} of each")
    if not sound.is_file():
        raise StudioError(f"{path}: wav = {data['wav']}: no such file")
    if rate != fps:
        raise StudioError(f"{path}: fps = {rate}: want the avatar's, {fps}")
    return Clip(path.stem, sound, area, press)


def find(folder: Path, manifest: dict[str, Any], audio: Path | None) -> list[Clip]:
    """--audio, else truth/*.json of the avatar, else its speech.wav, else the demo avatar's sentence."""
    if audio is not None:
        if not audio.is_file():
            raise StudioError(f"{audio}: no such file")
        return [Clip(audio.stem, audio)]
    if truth := sorted((folder / "truth").glob("*.json")):
        return [_truth(path, manifest["fps"]) for path in truth]
    own = folder / "speech.wav"
    return [Clip("speech", own if own.is_file() else demo_sentence())]


def demo_sentence() -> Path:
    """avatars/demo/speech.wav, wherever the engine finds the demo avatar."""
    try:
        path = Path(inspect("demo")["path"]).absolute() / "speech.wav"
    except StudioError:
        path = Path("speech.wav")
    if not path.is_file():
        raise StudioError("no sound to speak: the avatar has neither truth/ nor speech.wav; give one with --audio")
    return path


def write_silence(path: Path, frames: int, fps: float) -> Path:
    """Digital silence of that many frames, 16 kHz."""
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(_RATE_HZ)
        out.writeframes(bytes(2 * int(frames * _RATE_HZ / fps)))
    return path
