"""Rendered frames against a folder of reference frames, as the program that trained the model drew them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ..engine import Bgr, Rendering
from ..errors import StudioError
from ..psnr import psnr_db
from .speak import Layout, frames_of
from .verdict import Measure

_PICTURES, _SOUNDS = (".png", ".jpg", ".jpeg"), (".wav", ".flac", ".mp3", ".m4a", ".ogg", ".opus")


@dataclass(frozen=True)
class Comparison:
    """measures; and the reference, the rendered picture and the number of the frame that differs most."""

    measures: list[Measure]
    frame: int
    pair: tuple[Bgr, Bgr]


@dataclass(frozen=True)
class References:
    """A folder's pictures in the order of their numbers, and the sound that was spoken."""

    folder: Path
    pictures: list[Path]
    sound: Path


def _numbered(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise StudioError(f"{folder}: no such folder")
    found = {int(p.stem): p for p in folder.iterdir() if p.suffix.lower() in _PICTURES and p.stem.isdecimal()}
    if not found:
        raise StudioError(f"{folder}: no numbered pictures (0.png, 1.png, ..)")
    for number in range(min(found), max(found)):
        if number not in found:
            raise StudioError(f"{folder}: picture {number} is missing between {min(found)} and {max(found)}")
    if len({p.suffix.lower() == ".png" for p in found.values()}) > 1:
        raise StudioError(f"{folder}: both .png and .jpg: want one kind")
    return [found[number] for number in sorted(found)]


def _sound_of(folder: Path, audio: Path | None) -> Path:
    """--audio, else the only sound in the folder."""
    if audio is not None:
        return audio
    found = sorted(p for p in folder.iterdir() if p.suffix.lower() in _SOUNDS)
    if len(found) != 1:
        raise StudioError(f"{folder}: {len(found)} sounds in it: give the one that was spoken with --audio")
    return found[0]


def _picture(path: Path, size: tuple[int, int]) -> Bgr:
    """[height,width,3]; StudioError where it is not whole, or not of the avatar's size."""
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise StudioError(f"{path}: not a whole picture")
    height, width = picture.shape[:2]
    if (width, height) != size:
        raise StudioError(f"{path}: {width}x{height}: want {size[0]}x{size[1]} as the avatar")
    return picture.astype(np.uint8, copy=False)


def references(layout: Layout, folder: Path, audio: Path | None) -> References:
    """--against with its sound. StudioError, before any rendering, where they cannot belong to the avatar or to each other."""
    pictures = _numbered(folder)
    sound = _sound_of(folder, audio)
    frames = frames_of(sound, layout.fps)
    if len(pictures) > frames:
        raise StudioError(f"{folder}: {len(pictures)} pictures, and {sound.name} gives {frames} frames: not the same sound")
    for end in (pictures[0], pictures[-1]):  # the last is what a script that was stopped leaves cut off
        _picture(end, layout.size)
    return References(folder, pictures, sound)


def compare(layout: Layout, references: References, say: Callable[[str], None]) -> Comparison:
    """Frame i of the folder with frame i of the rendering, its ends as the Python original makes them.

    The PSNR is that of the face box. Pictures that went through JPEG may differ by any number of levels in a pixel.
    """
    pictures, folder, sound = references.pictures, references.folder, references.sound
    say(f"{folder}: {len(pictures)} reference frames")
    lossless = pictures[0].suffix.lower() == ".png"
    worst, largest, frame_of_worst, total = math.inf, 0, 0, 0.0
    pair: tuple[Bgr, Bgr] | None = None
    compared = 0
    rendering = Rendering(layout.folder, sound, layout.size, ("--idle", "model", "--edges", "reference"))
    for step, frame in enumerate(rendering):
        if step >= len(pictures):
            break
        reference = _picture(pictures[step], layout.size)
        box = layout.boxes[layout.shown(step)] or [0, 0, *layout.size]
        face = (slice(box[1], box[3]), slice(box[0], box[2]))
        level = psnr_db(reference[face], frame[face])
        largest = max(largest, int(cv2.absdiff(reference, frame).max()))
        total += level
        compared += 1
        if level < worst:
            worst, frame_of_worst = level, step
            shown = layout.face(reference, step, 0.08), layout.face(frame, step, 0.08)
            pair = (shown[0], shown[1]) if shown[0] is not None and shown[1] is not None else (reference, frame.copy())
    if compared < len(pictures) or pair is None:
        raise StudioError(f"{folder}: {len(pictures)} pictures, and only {compared} frames were rendered")
    measures = [
        Measure("reference, worst", worst, "dB", f"PSNR in the face box of frame {frame_of_worst}, of {compared} compared",
                at_least=40.0 if lossless else 30.0),
        Measure("reference, mean", total / compared, "dB", "PSNR in the face box over all of them"),
        Measure("reference, levels", largest, "levels", "largest difference in any pixel of any frame",
                at_most=2 if lossless else None),
    ]  # fmt: skip
    return Comparison(measures, frame_of_worst, pair)
