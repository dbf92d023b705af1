"""What an avatar's own networks are fed: its pictures, and its sound as its family hears it.

Figures on noise say little about a trained network; these are what it meets when it speaks.
"""

from __future__ import annotations

import json
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from lipcast_studio.optimise.own_sounds import REACH_FRAMES, own_sound
from lipcast_studio.optimise.package import Package
from lipcast_studio.optimise.split import RefusedError
from lipcast_studio.training import picture
from lipcast_studio.training.mel import RATE_HZ

Array = np.ndarray[Any, Any]
LONGEST_S = 60.0
SHORTEST_S = 2.0
CALIBRATED, HELD = 40, 10  # of the twin's PSNR on the demo 20 lose 0.9 dB, 10 1.8 dB; 80 gain nothing


@dataclass(frozen=True)
class OwnFeeds:
    """Two disjoint sets, of frames (the same one where there is but one) and of moments of the sound: to calibrate and
    choose by, and to report on.

    pictures: [n,6,S,S] float32, contexts: [n, as the network's sound input] float32, row i of both drawn
    together; n differs between the two.
    """

    sound: str  # the file's name
    pictures: Array
    contexts: Array
    held_pictures: Array
    held_contexts: Array


def find_sound(package: Package, given: Path | None) -> Path:
    """The file given, or the only candidates beside the manifest: speech.wav, aud.wav, any other .wav."""
    if given is not None:
        return given
    found = sorted(package.folder.glob("*.wav"), key=lambda path: (path.name not in ("speech.wav", "aud.wav"), path.name))
    if not found:
        raise RefusedError(f"{package.folder}: no .wav in it to calibrate with: --audio FILE.wav names the person's speech")
    return found[0]


def read_sound(path: Path) -> Array:
    """At most a minute of a 16-bit WAV as mono [L] at 16 kHz, -1..1; linear interpolation is enough to calibrate by."""
    try:
        with wave.open(str(path)) as file:
            if file.getsampwidth() != 2:
                raise RefusedError(f"{path}: {8 * file.getsampwidth()}-bit samples: want a 16-bit WAV")
            rate, channels = file.getframerate(), file.getnchannels()
            data = file.readframes(int(LONGEST_S * rate))
    except (OSError, EOFError, wave.Error) as error:
        raise RefusedError(f"{path}: want a 16-bit WAV: {error}") from None
    mono = np.frombuffer(data, "<i2").reshape(-1, channels).mean(axis=1) / 32768
    if len(mono) < SHORTEST_S * rate:
        raise RefusedError(f"{path}: {len(mono) / rate:.2f} s of sound: want {SHORTEST_S:g} s or more to calibrate with")
    if not np.abs(mono).max() > 1e-3:
        raise RefusedError(f"{path}: silent: want speech to calibrate with")
    at = np.arange(int(len(mono) * RATE_HZ / rate)) * (rate / RATE_HZ)
    return np.interp(at, np.arange(len(mono)), mono).astype(np.float32)


def _frames(package: Package, wanted: list[int]) -> Iterator[Array]:
    """Pictures of these frames, ascending, [H,W,3] BGR."""
    frames = package.manifest["frames"]
    if frames["kind"] == "images":
        for index in wanted:
            path = package.folder / (frames["path"] % (frames.get("first", 0) + index))
            image = cv2.imread(str(path), cv2.IMREAD_COLOR)
            if image is None:
                raise RefusedError(f"{path}: not a picture that can be read")
            yield image
        return
    path = package.folder / frames["path"]
    video = cv2.VideoCapture(str(path))
    try:
        for index in range(wanted[-1] + 1):
            good, image = video.read()
            if not good:
                raise RefusedError(f"{path}: frame {index} cannot be decoded: want {package.manifest['frame_count']}")
            if index in wanted:
                yield image
    finally:
        video.release()


def network_input(package: Package, frame: Array, box: list[int]) -> Array:
    """[6,S,S]: the inner picture and the same with the mask zeroed, in the family's order (docs/numerics.md 3, 4, 5)."""
    generator = package.generator
    mask, border, (x0, y0, x1, y1) = generator["mask"], generator["border_px"], box
    window = slice(mask["y"], mask["y"] + mask["height"]), slice(mask["x"], mask["x"] + mask["width"])
    crop = frame[y0:y1, x0:x1]
    if generator["family"] != "synctalk":
        side = generator["inner_px"] + 2 * border
        crop = cv2.resize(crop, (side, side), interpolation=cv2.INTER_LINEAR)  # the cubic one then changes nothing
    both = picture.network_input(picture.inner_of_crop(crop, generator["inner_px"], border), window)
    return np.concatenate([both[3:], both[:3]]) if generator["family"] == "wav2lip" else both


def _some(count: int, of: int) -> list[int]:
    """`count` of the numbers 0 .. of - 1, evenly; some twice where there are not that many."""
    return [i * of // count for i in range(count)]


def own_feeds(package: Package, audio: Path | None, count: int = CALIBRATED, held: int = HELD) -> OwnFeeds:
    """`count` pairs to calibrate by, `held` held out: other frames where there are any, and the last third of the sound."""
    sound = find_sound(package, audio)
    samples = read_sound(sound)
    boxes = json.loads((package.folder / package.manifest["boxes"]).read_text("utf-8"))["boxes"]
    faces = [index for index, box in enumerate(boxes) if box is not None]
    if not faces:
        raise RefusedError(f"{package.folder}: no frame shows a face: want 1 or more to calibrate with")
    spread = sorted({faces[int(i)] for i in np.linspace(0, len(faces) - 1, min(2 * count, len(faces)))})
    pictures = [network_input(package, frame, boxes[i]) for i, frame in zip(spread, _frames(package, spread), strict=True)]
    heard = own_sound(package, samples)
    border = 2 * heard.frames // 3
    moments = (
        np.linspace(heard.first, border - REACH_FRAMES - 1, count).astype(int).tolist(),
        np.linspace(border + REACH_FRAMES, heard.frames - 1, held).astype(int).tolist(),
    )
    shown = [
        np.stack([side[i] for i in _some(number, len(side))])
        for side, number in ((pictures[0::2], count), (pictures[1::2] or pictures, held))
    ]
    return OwnFeeds(sound.name, shown[0], heard.contexts(moments[0]), shown[1], heard.contexts(moments[1]))
