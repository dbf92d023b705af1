"""A video, or one picture, as the frames of a package."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2

from .errors import StudioError
from .video.ffmpeg import first_line, h264, program, source
from .video.normalise import count_frames
from .video.probe import HDR, probe

_PICTURES = (".png", ".jpg", ".jpeg")
_MAX_SIDE_PX = 8192


@dataclass(frozen=True)
class Frames:
    """What the manifest says of them; `files`: those it must list."""

    count: int
    width: int
    height: int
    fps: Fraction
    frames: dict[str, Any]
    files: tuple[str, ...]


def _picture(path: Path, folder: Path) -> Frames:
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise StudioError(f"{path}: not a whole picture")
    ending = path.suffix.lower()
    (folder / "frames").mkdir()
    shutil.copyfile(path, folder / "frames" / f"0{ending}")
    height, width = picture.shape[:2]
    return Frames(1, width, height, Fraction(25), {"kind": "images", "path": f"frames/%d{ending}", "first": 0}, ())


def write_frames(path: Path, folder: Path) -> Frames:
    """Writes frames.mp4 into `folder`: H.264, BT.709, upright, square pixels, at a constant rate, the video's own.

    A picture is copied as it is and is the one frame. StudioError where there is no whole video.
    """
    if not path.is_file():
        raise StudioError(f"{path}: no such file")
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
    pictures = (
        f"fps={rate},scale={width}:{height}:out_color_matrix=bt709:out_range=tv"
        ":flags=bicubic+accurate_rnd+full_chroma_int,setsar=1"
    )
    command = [program("ffmpeg"), "-nostdin", "-y", "-v", "error", "-xerror", "-i", source(path), "-map", f"0:{facts.stream}",
               "-an", "-sn", "-dn", "-vf", pictures, *h264(14), source(target)]  # fmt: skip
    made = subprocess.run(command, capture_output=True, text=True, errors="replace")
    count = count_frames(target) if made.returncode == 0 else 0
    if count == 0:
        raise StudioError(f"{path}: its frames cannot be read to the end: {first_line(made.stderr)}")
    return Frames(count, width, height, rate, {"kind": "video", "path": "frames.mp4"}, ("frames.mp4",))
