"""What a video file holds, before a frame of it is decoded."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from ..errors import StudioError
from .ffmpeg import first_line, program, source

HDR = {"smpte2084": "HDR10 (PQ)", "arib-std-b67": "HLG"}
_MATRICES = {"bt709": "bt709", "smpte170m": "bt601", "bt470bg": "bt601", "bt2020nc": "bt2020"}
_TRANSPORT_STREAM = "mpegts"
_BROADCAST = (_TRANSPORT_STREAM, "mpeg")


@dataclass(frozen=True)
class Facts:
    """width, height: as stored. rotation: degrees the player turns it. shape: height of a pixel to its width, inverted."""

    width: int
    height: int
    rotation: int
    pixel_shape: Fraction
    rate: Fraction
    variable_rate: bool
    duration_s: float
    matrix: str
    transfer: str
    sounds: int
    stream: int  # index of the picture in the file
    start_s: float  # the time in the file from which all of it counts
    picture_late_s: float  # what ffmpeg has to be told to count the picture from there, and the sound
    sound_late_s: float
    transport_stream: bool

    @property
    def upright(self) -> tuple[int, int]:
        """Width and height as seen: pixels made square, turned."""
        width = round(self.width * self.pixel_shape)
        return (self.height, width) if self.rotation % 180 else (width, self.height)

    @property
    def changes(self) -> list[str]:
        """What making it upright and its pixels square changes, for people."""
        notes = []
        if self.rotation:
            notes.append(f"turned upright by its rotation tag ({self.rotation} degrees)")
        if self.pixel_shape != 1:
            notes.append(f"pixels of shape {self.pixel_shape.numerator}:{self.pixel_shape.denominator} made square")
        return notes

    def scaled(self, width: int, height: int) -> str:
        """ffmpeg's filters that give upright frames of this size in BT.709, limited range."""
        guessed = "bt709" if self.width >= 1280 or self.height > 576 else "bt601"  # as players do where it is not said
        matrix = _MATRICES.get(self.matrix, guessed)
        return (
            f"scale={width}:{height}:in_color_matrix={matrix}:out_color_matrix=bt709:out_range=tv"
            ":flags=bicubic+accurate_rnd+full_chroma_int,setsar=1"
        )


def _ratio(text: str | None, separator: str) -> Fraction:
    try:
        over, under = (text or "").split(separator)
        return Fraction(int(over), int(under))
    except (ValueError, ZeroDivisionError):
        return Fraction(0)


def _rotation(stream: dict[str, Any]) -> int:
    for entry in stream.get("side_data_list", ()):
        if "rotation" in entry:
            return round(float(entry["rotation"])) % 360
    return 0


def _starts(container: dict[str, Any], picture: dict[str, Any], sounds: list[dict[str, Any]]) -> tuple[float, float, float]:
    """start_s, picture_late_s, sound_late_s: of a broadcast's formats ffmpeg counts each stream from its own begin."""
    if container.get("format_name") not in _BROADCAST:
        return float(container.get("start_time", 0)), 0.0, 0.0
    begins = [float(stream.get("start_time", 0)) for stream in (picture, *sounds[:1])]
    start_s = min(begins)
    return start_s, begins[0] - start_s, begins[-1] - start_s


def _unreadable(path: Path, complaint: str) -> str:
    """Why ffprobe opens nothing, in words of its user."""
    with path.open("rb") as file:
        head = file.read(12)
    if not head:
        return "empty, want a video"
    if "moov atom" not in complaint:
        return f"not a video that can be read: {complaint}"
    if head[4:8] == b"ftyp":
        return "cut off: its index (moov), which stands at the end, is missing; copy the whole file, or repair it first"
    return "not a video that can be read, whatever its name says"


def want_file(path: Path) -> None:
    """StudioError where there is none of this name, or it is something else."""
    if not path.exists():
        raise StudioError(f"{path}: no such file")
    if not path.is_file():
        raise StudioError(f"{path}: {'a folder' if path.is_dir() else 'a device or a pipe, no file'}, want a video")


def probe(path: Path) -> Facts:
    """StudioError where there is no such file, or no picture that ffmpeg reads in it."""
    want_file(path)
    command = [program("ffprobe"), "-v", "error", "-of", "json", "-show_streams", "-show_format", source(path)]
    asked = subprocess.run(command, capture_output=True, text=True, errors="replace")
    if asked.returncode != 0:
        raise StudioError(f"{path}: {_unreadable(path, first_line(asked.stderr).split(': ')[-1])}")
    told = json.loads(asked.stdout)
    streams, container = told.get("streams", []), told.get("format", {})
    sounds = [s for s in streams if s.get("codec_type") == "audio"]
    pictures = [s for s in streams if s.get("codec_type") == "video" and not s.get("disposition", {}).get("attached_pic")]
    if not pictures:
        raise StudioError(f"{path}: no video track, want a recording of a person who speaks")
    stream = pictures[0]
    average, nominal = (_ratio(stream.get(key), "/") for key in ("avg_frame_rate", "r_frame_rate"))
    rate = average or nominal
    if rate <= 0 or not stream.get("width"):
        raise StudioError(f"{path}: its video track states no frame rate or size; it is damaged")
    duration = stream.get("duration") or container.get("duration") or 0
    return Facts(
        int(stream["width"]), int(stream["height"]), _rotation(stream),
        _ratio(stream.get("sample_aspect_ratio"), ":") or Fraction(1), rate,
        bool(nominal and abs(nominal / rate - 1) > Fraction(1, 50)), float(duration),
        str(stream.get("color_space", "")), str(stream.get("color_transfer", "")),
        len(sounds), int(stream["index"]), *_starts(container, stream, sounds),
        container.get("format_name") == _TRANSPORT_STREAM,
    )  # fmt: skip
