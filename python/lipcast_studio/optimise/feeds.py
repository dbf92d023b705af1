"""The avatar's own inputs: its pictures as the network sees them, and sound features of a speech."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lipcast_studio.optimise.package import Package
from lipcast_studio.optimise.split import RefusedError

ROWS_BEFORE, ROWS = 8, 16  # of the features that one frame is drawn from

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Feed:
    """picture [6,S,S] 0..1 and audio [32,16,16] of one frame."""

    picture: Float32
    audio: Float32


def lipcast_binary() -> str:
    """$LIPCAST_BIN, or `lipcast` on the path."""
    found = os.environ.get("LIPCAST_BIN") or shutil.which("lipcast")
    if not found:
        raise RefusedError("the command lipcast is not on the path; LIPCAST_BIN names it")
    return found


def own_feeds(package: Package, speech: Path, count: int) -> list[Feed]:
    """`count` frames spread over the avatar, each with the sound of another moment of the speech."""
    features = _features(package.folder, speech)
    frames = _faces(package, count)
    if len(features) < ROWS or len(frames) < 2:
        raise RefusedError(
            f"{package.folder}: {len(frames)} frames with a face and {len(features)} windows of speech are too few"
        )
    rows = np.concatenate([np.zeros((ROWS_BEFORE, 512), np.float32), features, np.zeros((ROWS, 512), np.float32)])
    moments = np.linspace(0, len(features) - 1, len(frames)).astype(int)
    # Neighbouring frames get distant moments, so that each half of the list hears all of the speech.
    moments = np.concatenate([moments[::2], moments[1::2]])
    return [Feed(picture, rows[at : at + ROWS].reshape(32, 16, 16)) for picture, at in zip(frames, moments, strict=True)]


def _features(folder: Path, speech: Path) -> Float32:
    """[n, 512], by the engine itself."""
    with tempfile.TemporaryDirectory() as scratch:
        dump = Path(scratch) / "features.npy"
        command = [lipcast_binary(), "render", "-a", str(folder), str(speech), "-o", str(Path(scratch) / "%06d.jpg")]
        run = subprocess.run([*command, "--idle", "passthrough", "--dump", f"features={dump}"], capture_output=True, text=True)
        if run.returncode != 0:
            raise RefusedError((run.stderr.strip().splitlines() or ["lipcast render failed"])[-1])
        return np.load(dump).astype(np.float32)


def _faces(package: Package, count: int) -> list[Float32]:
    import cv2  # only where pictures are wanted

    generator, frames = package.generator, package.manifest["frames"]
    boxes = json.loads((package.folder / package.manifest["boxes"]).read_text("utf-8"))["boxes"]
    with_face = [i for i, box in enumerate(boxes) if box]
    chosen = {with_face[i] for i in np.linspace(0, len(with_face) - 1, count).astype(int)} if with_face else set()
    video = cv2.VideoCapture(str(package.folder / frames["path"])) if frames["kind"] == "video" else None
    faces = []
    for i in range(max(chosen, default=-1) + 1):
        if video is not None:
            good, picture = video.read()
        elif i in chosen:
            picture = cv2.imread(str(package.folder / (frames["path"] % (i + frames.get("first", 0)))))
            good = picture is not None
        if i not in chosen:
            continue
        if not good:
            raise RefusedError(f"{package.folder / frames['path']}: frame {i} cannot be read")
        x0, y0, x1, y1 = boxes[i]
        side = generator["inner_px"] + 2 * generator["border_px"]
        resized = cv2.resize(picture[y0:y1, x0:x1], (side, side), interpolation=cv2.INTER_CUBIC)
        border = generator["border_px"]
        inner = resized[border : side - border, border : side - border].astype(np.float32) / 255
        masked = inner.copy()
        mask = generator["mask"]
        masked[mask["y"] : mask["y"] + mask["height"], mask["x"] : mask["x"] + mask["width"]] = 0
        faces.append(np.concatenate([inner, masked], axis=2).transpose(2, 0, 1).copy())
    return faces
