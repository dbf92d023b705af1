"""Truth clips for the lip-sync test: a wav, and per video frame the seven values, the press flag and the area.

Clips come from voices that took no part in training, from one seen voice, and from human LibriVox readings.
Frame i of a clip is drawn on frame i (modulo its length) of the avatar's loop.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.io import wavfile

from ..training.mel import RATE_HZ
from ..training.picture import inner_of_crop
from . import align, measure, speech
from .render import LOOP_FRAMES, Renderer, idle_pose
from .visemes import PRESS, VALUES, mouth_track


@dataclass(frozen=True)
class TruthClip:
    name: str
    voice: str
    words_from: str  # origin and licence of the sound
    clip: speech.Clip


DEMO_CLIP, DEMO_WAV = "librivox-0870", "../speech.wav"  # the demo sentence is in the package once
_LIBRIVOX = "LibriVox, Sense and Sensibility, chapter 1; public domain; aligned automatically"
_ORIGIN = {
    "flite-rms": "flite 2.2, voice rms (Carnegie Mellon University, BSD-like); never trained on",
    "festival-ked": "Festival, festvox-kdlpc16k (CSTR, University of Edinburgh, MIT-like); never trained on",
    "espeak-seen": "espeak-ng 1.51, voice en-us; a voice seen in training, other sentences",
}


def _best_length(clips: list[speech.Clip], count: int) -> list[speech.Clip]:
    """Clips nearest to six seconds, in their own order."""
    order = sorted(range(len(clips)), key=lambda i: abs(clips[i].seconds - 6.0))[:count]
    return [clips[i] for i in sorted(order)]


def truth_clips(work: Path) -> list[TruthClip]:
    out = []
    for source, count in (("flite-rms", 2), ("festival-ked", 2), ("espeak-seen", 1)):
        clips = _best_length(speech.load(work / "speech" / f"{source}.npz"), count)
        out += [TruthClip(f"{source}-{i + 1}", source, _ORIGIN[source], c) for i, c in enumerate(clips)]
    for name, _, clip in align.librivox():
        label = f"librivox-{name[-4:]}"
        out.append(TruthClip(label, "librivox", _LIBRIVOX, clip))
    return out


def truth_areas(renderer: Renderer, values: np.ndarray) -> np.ndarray:
    """values [n,7] -> opening area of each frame's truth picture [n]."""
    areas = []
    for i, value in enumerate(values):
        crop = renderer.crops(idle_pose(i % LOOP_FRAMES), [value])[0]
        areas.append(measure.opening_area(inner_of_crop(crop)))
    return np.array(areas)


def write(folder: Path, renderer: Renderer, clips: list[TruthClip]) -> None:
    """NAME.json for each clip, and its sound, 16 kHz mono PCM16, at the path that the JSON names."""
    folder.mkdir(exist_ok=True)
    for item in clips:
        values = mouth_track(item.clip.visemes, item.clip.seconds)
        wav = DEMO_WAV if item.name == DEMO_CLIP else f"{item.name}.wav"
        if item.name != DEMO_CLIP:
            wavfile.write(folder / wav, RATE_HZ, np.round(item.clip.wave * 32767).astype(np.int16))
        data = {
            "schema_version": 1,
            "voice": item.voice,
            "origin": item.words_from,
            "wav": wav,
            "fps": {"num": 25, "den": 1},
            "frame_count": len(values),
            "value_names": list(VALUES),
            "values": [[round(float(v), 3) for v in row] for row in values],
            "press": [int(v > measure.PRESSED) for v in values[:, PRESS]],
            "area_px": [int(a) for a in truth_areas(renderer, values)],
        }
        (folder / f"{item.name}.json").write_text(json.dumps(data, separators=(",", ":")) + "\n")
