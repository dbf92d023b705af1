"""A video, or one picture, as the frames of a package."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2

from .errors import EXIT_UNAVAILABLE, StudioError

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


def _run(*command: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except FileNotFoundError:
        raise StudioError(f"{command[0]} is needed to read a video: apt-get install ffmpeg", EXIT_UNAVAILABLE) from None


def _stream(path: Path) -> dict[str, Any]:
    done = _run(
        "ffprobe", "-v", "error", "-select_streams", "v:0", "-count_packets", "-show_streams", "-of", "json", f"file:{path}",
    )  # fmt: skip
    streams = json.loads(done.stdout or b"{}").get("streams", [])
    if done.returncode != 0 or not streams:
        reason = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise StudioError(f"{path}: no video in it{': ' + reason[-1] if reason else ''}")
    stream: dict[str, Any] = streams[0]
    return stream


def _rate(stream: dict[str, Any], path: Path) -> Fraction:
    for key in ("r_frame_rate", "avg_frame_rate"):
        num, den = map(int, stream[key].split("/"))
        if den and 1 <= Fraction(num, den) <= 120:
            return Fraction(num, den).limit_denominator(1_000_000)
    raise StudioError(f"{path}: {stream['avg_frame_rate']} frames/s, want 1..120")


def _picture(source: Path, folder: Path) -> Frames:
    picture = cv2.imread(str(source), cv2.IMREAD_COLOR)
    if picture is None:
        raise StudioError(f"{source}: not a whole picture")
    ending = source.suffix.lower()
    (folder / "frames").mkdir()
    shutil.copyfile(source, folder / "frames" / f"0{ending}")
    height, width = picture.shape[:2]
    return Frames(1, width, height, Fraction(25), {"kind": "images", "path": f"frames/%d{ending}", "first": 0}, ())


def write_frames(source: Path, folder: Path) -> Frames:
    """Writes frames.mp4 into `folder`: H.264, BT.709, upright, a constant rate (the video's own), a key frame a second.

    A picture is copied as it is and is the one frame. StudioError where there is no whole video.
    """
    if not source.is_file():
        raise StudioError(f"{source}: no such file")
    if source.suffix.lower() in _PICTURES:
        return _picture(source, folder)
    rate = _rate(_stream(source), source)
    target = folder / "frames.mp4"
    done = _run(
        "ffmpeg", "-nostdin", "-y", "-v", "error", "-xerror", "-i", f"file:{source}", "-map", "0:v:0", "-an", "-sn",
        "-vf", f"fps={rate},scale=out_color_matrix=bt709:out_range=tv:flags=bicubic+accurate_rnd+full_chroma_int",
        "-c:v", "libx264", "-preset", "veryfast", "-crf", "14", "-pix_fmt", "yuv420p", "-g", str(max(1, round(rate))),
        "-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv",
        "-movflags", "+faststart", str(target),
    )  # fmt: skip
    if done.returncode != 0:
        reason = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise StudioError(f"{source}: its frames cannot be read to the end: {reason[-1] if reason else done.returncode}")
    made = _stream(target)
    width, height, count = int(made["width"]), int(made["height"]), int(made["nb_read_packets"])
    if max(width, height) > _MAX_SIDE_PX:
        raise StudioError(f"{source}: {width}x{height}, want at most {_MAX_SIDE_PX} each side")
    return Frames(count, width, height, rate, {"kind": "video", "path": "frames.mp4"}, ("frames.mp4",))
