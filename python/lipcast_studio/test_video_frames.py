"""A person's video or picture as an avatar's frames: upright, even, by time, in its own colours."""

from __future__ import annotations

import struct
import subprocess
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from lipcast_studio.video_frames import Frames, write_frames

QUARTERS = "color=red:160x96:r=25:d=0.4,drawbox=0:0:80:48:blue:fill"  # blue in the upper left


def made(path: Path, picture: str, *options: object) -> Path:
    command = ["ffmpeg", "-y", "-v", "error", "-f", "lavfi", "-i", picture, *map(str, options), str(path)]
    subprocess.run(command, check=True)
    return path


def matrix_of(path: Path, *matrix: int) -> None:
    """Writes the display matrix of an mp4's picture (a, b, c, d, x, y): what cameras do."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40  # version 0: behind times, layer and volume
    a, b, c, d, x, y = (value * 65536 for value in matrix)
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, x, y, 1 << 30)
    path.write_bytes(data)


def shown(path: Path, folder: Path) -> tuple[Frames, np.ndarray]:
    folder.mkdir()
    frames = write_frames(path, folder)
    pictures = np.stack([frame.copy() for frame in frames.read(folder)])
    assert pictures.shape == (frames.count, frames.height, frames.width, 3)
    return frames, pictures


@pytest.mark.parametrize(
    ("matrix", "corner"),
    [
        ((1, 0, 0, 1, 0, 0), "upper left"),
        ((0, 1, -1, 0, 96, 0), "upper right"),  # 90 degrees clockwise
        ((-1, 0, 0, -1, 160, 96), "lower right"),
        ((0, -1, 1, 0, 0, 160), "lower left"),
        ((-1, 0, 0, 1, 160, 0), "upper right"),  # mirrored
        ((1, 0, 0, -1, 0, 96), "lower left"),
    ],
)
def test_a_turned_or_mirrored_video_stands_as_players_show_it(tmp_path: Path, matrix: tuple[int, ...], corner: str) -> None:
    """Case 64: rotations of 90, 180 and 270 degrees, and mirrored ones, by the matrix that phones write."""
    path = made(tmp_path / "a.mp4", QUARTERS)
    matrix_of(path, *matrix)
    frames, pictures = shown(path, tmp_path / "out")
    assert (frames.width, frames.height) == ((160, 96) if matrix[0] else (96, 160))
    row = -20 if "lower" in corner else 20
    column = -20 if "right" in corner else 20
    blue, _, red = pictures[5, row, column]
    assert (blue > 200, red < 60) == (True, True)
    assert pictures[5, -row, -column, 2] > 200
    assert bool(frames.notes) == (matrix[0] != 1)


def test_an_odd_size_is_made_even_and_said(tmp_path: Path) -> None:
    """Case 65: 641x361 and less than two pixels."""
    path = made(tmp_path / "odd.mkv", "testsrc=641x361:r=5:d=1", "-c:v", "ffv1")
    frames, _ = shown(path, tmp_path / "out")
    assert (frames.width, frames.height) == (640, 360)
    assert frames.notes == ("scaled from 641x361 to the even 640x360",)
    wide = made(tmp_path / "wide.mkv", "testsrc=8191x16:r=5:d=0.6", "-c:v", "ffv1")
    frames, _ = shown(wide, tmp_path / "wide")
    assert (frames.width, frames.height) == (8190, 16)
    dot = made(tmp_path / "dot.mkv", "color=red:4x4:r=5:d=1,format=gbrp,crop=1:1", "-c:v", "ffv1")
    with pytest.raises(Exception, match=r"dot\.mkv: 0x0 pixels, want 2\.\.8192 each side"):
        shown(dot, tmp_path / "dot")


def test_a_varying_rate_is_resampled_by_time_and_said(tmp_path: Path) -> None:
    """Case 29: 60 frames/s, after 2 s every fourth only, 180 frames: the white flash at 4 s stays there."""
    flash = "color=black:64x64:r=60:d=6,drawbox=0:0:64:64:white:fill:enable='between(t,4,4.2)'"
    path = made(tmp_path / "vfr.mp4", flash, "-vf", "select='lt(t,2)+not(mod(n,4))'", "-fps_mode", "vfr")
    frames, pictures = shown(path, tmp_path / "out")
    assert 30 < frames.fps < 31
    assert abs(frames.count / frames.fps - 6) < 0.1
    assert any(note.startswith("variable frame rate, resampled by time") for note in frames.notes)
    bright = np.flatnonzero(pictures.mean((1, 2, 3)) > 128) / float(frames.fps)
    assert abs(bright[0] - 4) < 0.07
    assert abs(bright[-1] - 4.2) < 0.1


@pytest.mark.parametrize("rate", ["12", "20", "30000/1001", "60"])
def test_a_rate_of_its_own_is_kept_exactly(tmp_path: Path, rate: str) -> None:
    """Cases 22, 23: no integer is made of it."""
    path = made(tmp_path / "a.mp4", f"testsrc2=64x64:r={rate}:d=0.5")
    frames, _ = shown(path, tmp_path / "out")
    assert frames.fps == Fraction(rate)
    assert frames.notes == ()


@pytest.mark.parametrize(("size", "matrix"), [("1280x96", "bt709"), ("320x240", "bt601")])
@pytest.mark.parametrize("tagged", [True, False])
def test_red_stays_red_whether_the_file_names_its_matrix_or_not(tmp_path: Path, size: str, matrix: str, tagged: bool) -> None:
    """Case 67: untagged, HD is BT.709 and SD is BT.601, as players have it."""
    tags = ["-colorspace", "bt709" if matrix == "bt709" else "smpte170m"] if tagged else []
    convert = f"scale=out_color_matrix={matrix}:out_range=tv,format=yuv420p"
    path = made(tmp_path / "a.mp4", f"color=0xC81E28:{size}:r=5:d=0.4", "-vf", convert, *tags)
    frames, pictures = shown(path, tmp_path / "out")
    assert frames.count == 2
    assert np.abs(pictures.mean((0, 1, 2)) - (0x28, 0x1E, 0xC8)).max() < 4


def test_a_phones_picture_is_upright(tmp_path: Path) -> None:
    """Case 64: the orientation in a JPEG's EXIF."""
    picture = np.zeros((96, 160, 3), np.uint8)
    picture[:48, :80] = (255, 0, 0)
    plain = cv2.imencode(".jpg", picture)[1].tobytes()
    tiff = b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x112, 3, 1, 6, 0, 0)
    exif = b"Exif\0\0" + tiff
    (tmp_path / "a.jpg").write_bytes(plain[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + plain[2:])
    frames, pictures = shown(tmp_path / "a.jpg", tmp_path / "out")
    assert (frames.width, frames.height, frames.fps) == (96, 160, 25)
    assert pictures[0, 20, -20, 0] > 200  # turned clockwise
