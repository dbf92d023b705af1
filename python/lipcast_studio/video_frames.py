"""A video, or one picture, as the frames of a package."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from .errors import StudioError
from .video.ffmpeg import first_line, h264, program, read_frames, source
from .video.normalise import count_frames
from .video.probe import HDR, probe, want_file

Picture = npt.NDArray[np.uint8]

_PICTURES = (".png", ".jpg", ".jpeg")
_MAX_SIDE_PX = 8192


@dataclass(frozen=True)
class Frames:
    """What the manifest says of them. files: those it must list. notes: what was changed on the way. sounds: audio tracks."""

    count: int
    width: int
    height: int
    fps: Fraction
    frames: dict[str, Any]
    files: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    sounds: int = 0

    def read(self, folder: Path) -> Iterator[Picture]:
        """[height,width,3] BGR of each, from the package in `folder`."""
        if self.frames["kind"] == "video":
            yield from read_frames(folder / self.frames["path"], self.width, self.height)
            return
        for number in range(self.frames["first"], self.frames["first"] + self.count):
            path = folder / (self.frames["path"] % number)
            picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
            if picture is None:
                raise StudioError(f"{path}: not a whole picture")
            yield np.asarray(picture, np.uint8)


def _picture(path: Path, folder: Path) -> Frames:
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise StudioError(f"{path}: not a whole picture")
    ending = path.suffix.lower()
    (folder / "frames").mkdir()
    shutil.copyfile(path, folder / "frames" / f"0{ending}")
    height, width = picture.shape[:2]
    return Frames(1, width, height, Fraction(25), {"kind": "images", "path": f"frames/%d{ending}", "first": 0})


def write_frames(path: Path, folder: Path) -> Frames:
    """Writes frames.mp4 into `folder`: H.264, BT.709, upright, square pixels, at a constant rate, the video's own.

    A picture is copied as it is and is the one frame. StudioError where there is no whole video.
    """
    want_file(path)
    if path.suffix.lower() in _PICTURES:
        return _picture(path, folder)
    facts = probe(path)
    rate = facts.rate.limit_denominator(1_000_000)
    if not 1 <= rate <= 120:
        raise StudioError(f"{path}: {float(rate):.4g} frames a second, want 1..120")
    if facts.transfer in HDR:
        raise StudioError(f"{path}: {HDR[facts.transfer]} colours, want SDR")
    width, height = (side // 2 * 2 for side in facts.upright)
    if min(width, height) < 2 or max(width, height) > _MAX_SIDE_PX:
        raise StudioError(f"{path}: {width}x{height} pixels, want 2..{_MAX_SIDE_PX} each side")
    target = folder / "frames.mp4"
    notes = facts.changes
    if (width, height) != facts.upright:
        notes.append(f"scaled from {facts.upright[0]}x{facts.upright[1]} to the even {width}x{height}")
    if facts.variable_rate:
        notes.append(f"variable frame rate, resampled by time to its average of {float(rate):.4g} a second")
    command = [program("ffmpeg"), "-nostdin", "-y", "-v", "error", "-xerror", "-i", source(path), "-map", f"0:{facts.stream}",
               "-an", "-sn", "-dn", "-vf", f"fps={rate},{facts.scaled(width, height)}", *h264(14), source(target)]  # fmt: skip
    made = subprocess.run(command, capture_output=True, text=True, errors="replace")
    count = count_frames(target) if made.returncode == 0 else 0
    if count == 0:
        raise StudioError(f"{path}: its frames cannot be read to the end: {first_line(made.stderr)}")
    shown = {"kind": "video", "path": "frames.mp4"}
    return Frames(count, width, height, rate, shown, ("frames.mp4",), tuple(notes), facts.sounds)
