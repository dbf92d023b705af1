"""Running the binary, making sounds and reading results back. Used by every end-to-end test."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import soundfile

ROOT = Path(__file__).resolve().parent.parent
BINARY = Path(os.environ.get("LIPCAST_BIN", ROOT / "build/release/bin/lipcast"))
RATE_HZ = 16_000
PIXELS = "--pixels"  # y4m, bgr or i420 on standard output
SAMPLES = "--format"  # of raw PCM on standard input

Samples = npt.NDArray[np.float32]
Bgr = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Run:
    """One finished run."""

    code: int
    stdout: bytes
    stderr: str

    @property
    def report(self) -> dict:
        """The one JSON object on standard output."""
        return json.loads(self.stdout)

    @property
    def lines(self) -> list[str]:
        """Lines of standard error, progress bars (rewritten lines) left out."""
        return [line for line in self.stderr.splitlines() if line.strip()]


def lipcast(
    *arguments: object,
    stdin: bytes | Iterable[bytes] | None = None,
    ok: bool = True,
    timeout_s: float = 240,
    cwd: Path | None = None,
    keep_stdout: bool = True,
) -> Run:
    """Runs the binary to its end. stdin: bytes, or pieces written one by one.

    ok: the exit code must be 0. keep_stdout False sends standard output to the null device.
    """
    command = [str(BINARY), *map(str, arguments)]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
            stdout=out if keep_stdout else subprocess.DEVNULL,
            stderr=err,
            cwd=cwd,
        )
        timer = threading.Timer(timeout_s, process.kill)
        timer.start()
        try:
            if stdin is not None:
                feed(process, [stdin] if isinstance(stdin, bytes) else stdin)
            process.wait()
        finally:
            timer.cancel()
        out.seek(0)
        err.seek(0)
        run = Run(process.returncode, out.read(), err.read().decode("utf-8", "replace"))
    if ok:
        assert run.code == 0, f"{' '.join(command)}\nexit {run.code}\n{run.stderr}"
    return run


# A started program inherits the peak of the process that started it, so a small one must do that.
PEAK_OF = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


def peak_kib(*arguments: object) -> int:
    """Runs the binary, its standard output unread, and returns its largest resident size."""
    command = [sys.executable, "-S", "-c", PEAK_OF, str(BINARY), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, timeout=240)
    assert done.returncode == 0, done.stderr.decode()
    return int(done.stdout)


def feed(
    process: subprocess.Popen, pieces: Iterable[bytes], *, close: bool = True
) -> None:
    """Writes the pieces one by one, then closes; a reader that left early is not an error here."""
    assert process.stdin is not None
    descriptor = process.stdin.fileno()
    try:
        for piece in pieces:
            view = memoryview(piece)
            while view:
                view = view[os.write(descriptor, view) :]
    except BrokenPipeError:
        pass
    finally:
        if close:
            process.stdin.close()


def refused(run: Run, *said: str) -> None:
    """The run failed as it should: an exit code, one line, every pattern of `said` in it."""
    assert 0 < run.code < 126, f"exit {run.code}\n{run.stderr}"
    assert len(run.lines) == 1, f"want one line on stderr:\n{run.stderr}"
    for pattern in said:
        assert re.search(pattern, run.lines[0], re.IGNORECASE), (
            f"no '{pattern}' in: {run.lines[0]}"
        )


def render(
    avatar: object, audio: object, output: object, *flags: object, **kwargs: object
) -> Run:
    """lipcast render."""
    return lipcast("render", "--avatar", avatar, audio, "-o", output, *flags, **kwargs)


def report(avatar: Path, audio: object, output: object, *flags: object) -> dict:
    """lipcast render --json."""
    return render(avatar, audio, output, "--json", *flags).report


def hashes(
    avatar: Path,
    audio: object,
    *flags: object,
    layout: str = "bgr",
    stdin: bytes | Iterable[bytes] | None = None,
) -> list[str]:
    """One hash per frame, in order; the pictures go to the null device."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hashes"
        flags = (*flags, PIXELS, layout, "--frame-hashes", path)
        render(avatar, audio, "-", *flags, stdin=stdin, keep_stdout=False)
        lines = path.read_text().splitlines()
    found = [line.split() for line in lines]
    assert [int(index) for index, _ in found] == list(range(len(found)))
    return [digest for _, digest in found]


def pictures(
    avatar: Path,
    audio: object,
    *flags: object,
    stdin: bytes | Iterable[bytes] | None = None,
) -> Bgr:
    """[n, H, W, 3]: every frame, raw, at the avatar's size."""
    manifest = read_manifest(avatar)
    data = render(avatar, audio, "-", PIXELS, "bgr", *flags, stdin=stdin).stdout
    return np.frombuffer(data, np.uint8).reshape(
        -1, manifest["height"], manifest["width"], 3
    )


def read_manifest(avatar: Path) -> dict:
    """avatar.json."""
    return json.loads((avatar / "avatar.json").read_text("utf-8"))


def backgrounds(avatar: Path) -> list[Bgr]:
    """The avatar's own frames [H, W, 3], for packages made of pictures."""
    manifest = read_manifest(avatar)
    found = []
    for i in range(manifest["frame_count"]):
        image = cv2.imread(
            str(avatar / (manifest["frames"]["path"] % i)), cv2.IMREAD_COLOR
        )
        assert image is not None
        found.append(image)
    return found


def box_of(avatar: Path, index: int = 0) -> tuple[int, int, int, int]:
    """The face box of one frame."""
    boxes = json.loads((avatar / "boxes.json").read_text())["boxes"]
    return tuple(boxes[index])


def mouth_levels(frames: Bgr, avatar: Path) -> npt.NDArray[np.float64]:
    """[n]: mean of the middle half of the mask, what M2 paints: 0 (silence) .. 255."""
    generator = read_manifest(avatar)["generator"]
    x0, y0, x1, _ = box_of(avatar)
    scale = (x1 - x0) / (generator["inner_px"] + 2 * generator["border_px"])
    mask, border = generator["mask"], generator["border_px"]
    left = x0 + scale * (border + mask["x"] + mask["width"] / 4)
    right = x0 + scale * (border + mask["x"] + mask["width"] * 3 / 4)
    top = y0 + scale * (border + mask["y"] + mask["height"] / 4)
    bottom = y0 + scale * (border + mask["y"] + mask["height"] * 3 / 4)
    part = frames[:, round(top) : round(bottom), round(left) : round(right)]
    return part.reshape(len(frames), -1).mean(axis=1)


def outside_box(frames: Bgr, avatar: Path) -> Bgr:
    """The frames with the box blackened, to compare the rest bit for bit."""
    x0, y0, x1, y1 = box_of(avatar)
    rest = frames.copy()
    rest[..., y0:y1, x0:x1, :] = 0
    return rest


# Sounds ---------------------------------------------------------------------------------------


def write_wav(
    path: Path, samples: Samples, rate_hz: int = RATE_HZ, kind: str = "PCM_16"
) -> Path:
    """[n] or [n, channels] float -> a WAV file."""
    soundfile.write(path, samples, rate_hz, subtype=kind, format="WAV")
    return path


def tone(
    seconds: float, hz: float = 440, level: float = 0.3, rate_hz: int = RATE_HZ
) -> Samples:
    """A steady buzz: hz and nine harmonics."""
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    parts = [
        np.sin(2 * np.pi * hz * k * t) / k for k in range(1, 11) if hz * k < rate_hz / 2
    ]
    return (level * np.sum(parts, axis=0) / 1.5).astype(np.float32)


def speech_like(seconds: float, seed: int = 1, rate_hz: int = RATE_HZ) -> Samples:
    """Syllables made of a moving buzz and noise, about four a second, never silent for long."""
    rng = np.random.default_rng(seed)
    count = round(seconds * rate_hz)
    t = np.arange(count) / rate_hz
    pitch = (
        110
        + 40 * np.sin(2 * np.pi * 0.7 * t + rng.uniform(0, 6))
        + rng.uniform(-10, 10)
    )
    buzz = np.sign(np.sin(2 * np.pi * np.cumsum(pitch) / rate_hz))
    loud = 0.1 + 0.9 * np.abs(np.sin(2 * np.pi * 2.1 * t + rng.uniform(0, 6))) ** 2
    hiss = rng.standard_normal(count) * (
        0.02 + 0.1 * (np.sin(2 * np.pi * 1.3 * t) > 0.8)
    )
    return (0.25 * loud * (buzz + hiss)).astype(np.float32)


def clicks(seconds: float, rate_hz: int = RATE_HZ, first_s: float = 0.5) -> Samples:
    """A 1 ms burst each second, on exact silence."""
    out = np.zeros(round(seconds * rate_hz), np.float32)
    burst = 0.9 * np.sign(
        np.random.default_rng(1).standard_normal(max(1, rate_hz // 1000))
    )
    for second in range(int(seconds - first_s) + 1):
        start = round((second + first_s) * rate_hz)
        piece = out[start : start + len(burst)]
        piece[:] = burst[: len(piece)]
    return out


def flite(path: Path, text: str, voice: str = "slt") -> Samples:
    """A sentence spoken by ffmpeg's flite source, [n] at 16 kHz; also left at `path`."""
    source = f"flite=text='{text}':voice={voice}"
    ffmpeg(
        "-f", "lavfi", "-i", source, "-ar", RATE_HZ, "-ac", 1, "-c:a", "pcm_s16le", path
    )
    samples, _ = soundfile.read(path, dtype="float32")
    return samples


def pcm16(samples: Samples) -> bytes:
    """[n] float -> little-endian 16 bit."""
    return np.clip(np.rint(samples * 32768), -32768, 32767).astype("<i2").tobytes()


def cut(data: bytes, size: int) -> Iterable[bytes]:
    """The bytes in pieces of `size`."""
    return (data[i : i + size] for i in range(0, len(data), size))


# Media ----------------------------------------------------------------------------------------


def ffmpeg(*arguments: object) -> bytes:
    """Runs ffmpeg quietly and returns its standard output."""
    command = ["ffmpeg", "-v", "error", "-y", *map(str, arguments)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def probe(path: Path, kind: str = "v") -> dict:
    """ffprobe of the first stream of that kind ("v", "a"), packets counted, {} where none."""
    command = [
        "ffprobe",
        "-v",
        "error",
        "-select_streams",
        f"{kind}:0",
        "-count_packets",
    ]
    command += ["-show_streams", "-of", "json", str(path)]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    streams = json.loads(answer).get("streams", [])
    return streams[0] if streams else {}


def last_pts_s(path: Path, kind: str = "v") -> tuple[float, float]:
    """(first pts, end of the last packet) in seconds of a stream."""
    command = [
        "ffprobe",
        "-v",
        "error",
        "-select_streams",
        f"{kind}:0",
        "-show_entries",
    ]
    command += ["packet=pts_time,duration_time", "-of", "json", str(path)]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    packets = json.loads(answer)["packets"]
    starts = [float(p["pts_time"]) for p in packets if "pts_time" in p]
    ends = [
        float(p["pts_time"]) + float(p.get("duration_time", 0))
        for p in packets
        if "pts_time" in p
    ]
    return min(starts), max(ends)


def decode(path: Path) -> Bgr:
    """[n, H, W, 3]: every picture of a video file, by ffmpeg."""
    stream = probe(path)
    width, height = stream["width"], stream["height"]
    data = ffmpeg(
        "-i",
        path,
        "-fps_mode",
        "passthrough",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "bgr24",
        "-",
    )
    return np.frombuffer(data, np.uint8).reshape(-1, height, width, 3)


def read_folder(folder: Path, ending: str = "png") -> list[Bgr]:
    """The pictures of a folder, by name."""
    found = []
    for path in sorted(folder.glob(f"*.{ending}")):
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
        assert image is not None, path
        found.append(image)
    return found


def frames_for(samples: int, rate_hz: int, fps: Fraction = Fraction(25)) -> int:
    """ceil(duration x fps), exactly."""
    return -int(-samples * fps // rate_hz)


def rate(text: object) -> Fraction:
    """ "25", "30000/1001", 29.97 or {"num", "den"} -> a fraction."""
    if isinstance(text, dict):
        return Fraction(text["num"], text["den"])
    return Fraction(str(text))


def chosen(values: Sequence[float], count: int) -> list[int]:
    """The indices of the `count` largest values, in order."""
    return sorted(np.argsort(values)[-count:].tolist())
