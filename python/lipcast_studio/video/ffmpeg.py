"""Running ffmpeg and ffprobe; frames as arrays in and out. Frames are BGR uint8 [H,W,3]; files are BT.709, limited range."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt

from ..errors import EXIT_OUTPUT, EXIT_UNAVAILABLE, StudioError

Picture = npt.NDArray[np.uint8]


def program(name: str) -> str:
    """Path of ffmpeg or ffprobe; StudioError where it is not installed."""
    found = shutil.which(name)
    if found is None:
        raise StudioError(f"{name} is needed to read videos: apt-get install ffmpeg", EXIT_UNAVAILABLE)
    return found


def first_line(text: str) -> str:
    """The first line of a program's complaint, without ffmpeg's own prefix."""
    line = next((line for line in text.splitlines() if line.strip()), "no reason given").strip()
    return line.split("] ", 1)[-1] if line.startswith("[") else line


def source(path: Path) -> str:
    """A file's name as ffmpeg takes it: never an option or a protocol."""
    return f"file:{path}"


def read_frames(path: Path, width: int, height: int, *, first: int = 0, count: int | None = None) -> Iterator[Picture]:
    """Frames first .. first + count - 1 of a video that this package wrote, one at a time.

    StudioError where ffmpeg ends before their end, or is ended.
    """
    command = [program("ffmpeg"), "-v", "error", "-i", source(path)]
    pick = f"trim=start_frame={first}" + ("" if count is None else f":end_frame={first + count}")
    command += ["-vf", f"{pick},scale=in_color_matrix=bt709:in_range=tv:flags=bicubic+accurate_rnd+full_chroma_int",
                "-vsync", "passthrough", "-f", "rawvideo", "-pix_fmt", "bgr24", "-"]  # fmt: skip
    size = width * height * 3
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=size) as decoder:
        assert decoder.stdout is not None
        try:
            while len(data := decoder.stdout.read(size)) == size:
                yield np.frombuffer(data, np.uint8).reshape(height, width, 3)
            if decoder.wait() != 0:
                raise StudioError(f"{path}: reading its frames ended early (ffmpeg: {decoder.returncode})")
        finally:
            decoder.stdout.close()
            decoder.kill()


class FrameWriter:
    """Writes frames as H.264 at 25 frames/s, a key frame a second. StudioError where ffmpeg cannot."""

    def __init__(self, path: Path, width: int, height: int, *, crf: int = 18, options: Sequence[str] = ()) -> None:
        self.path = path
        command = [
            program("ffmpeg"), "-y", "-v", "error", "-f", "rawvideo", "-pix_fmt", "bgr24", "-s", f"{width}x{height}",
            "-r", "25", "-i", "-", "-vf", "scale=out_color_matrix=bt709:out_range=tv:flags=bicubic+accurate_rnd+full_chroma_int",
            *h264(crf), *options, source(path),
        ]  # fmt: skip
        self._encoder = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)

    def write(self, frame: Picture) -> None:
        """One frame [height,width,3]."""
        assert self._encoder.stdin is not None
        try:
            self._encoder.stdin.write(frame.tobytes())
        except BrokenPipeError:
            self._fail()

    def __enter__(self) -> FrameWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        if kind is not None:
            self._encoder.kill()
            self._encoder.communicate()
            return
        said = self._encoder.communicate()[1]
        if self._encoder.returncode != 0:
            raise StudioError(f"{self.path}: {first_line(said.decode(errors='replace'))}", EXIT_OUTPUT)

    def _fail(self) -> None:
        said = self._encoder.communicate()[1].decode(errors="replace")
        raise StudioError(f"{self.path}: {first_line(said)}", EXIT_OUTPUT)


def h264(crf: int) -> list[str]:
    """ffmpeg's options for an avatar's frames."""
    return [
        "-c:v", "libx264", "-preset", "medium", "-crf", str(crf), "-pix_fmt", "yuv420p", "-g", "25",
        "-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv",
        "-movflags", "+faststart", "-f", "mp4",
    ]  # fmt: skip
