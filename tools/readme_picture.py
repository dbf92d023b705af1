"""Makes docs/demo.jpg: six frames of the demo sentence as the binary renders them, above its sound.

.deps/python/bin/python tools/readme_picture.py
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import cv2
import numpy as np
import soundfile

ROOT = Path(__file__).resolve().parent.parent
FRAMES = (9, 21, 48, 90, 99, 144)  # closed, open, wide, round, closed, open
CELL, WAVE_HEIGHT = 320, 110
INK, MARK, PAPER = (150, 110, 60), (40, 60, 220), 250


def rendered(folder: Path) -> list[np.ndarray]:
    """The chosen frames, the head cut out: each [CELL, CELL, 3] uint8 BGR."""
    speech = ROOT / "avatars/demo/speech.wav"
    command = [
        ROOT / "build/release/bin/lipcast",
        "render",
        speech,
        "-a",
        ROOT / "avatars/demo",
    ]
    subprocess.run([*command, "-q", "-o", folder / "%04d.png"], check=True)
    names = sorted(folder.glob("*.png"))
    heads = [cv2.imread(str(names[i]))[60:660, 340:940] for i in FRAMES]
    cells = [
        cv2.resize(head, (CELL, CELL), interpolation=cv2.INTER_AREA) for head in heads
    ]
    for frame, cell in zip(FRAMES, cells, strict=True):
        cv2.putText(
            cell, f"frame {frame}", (10, CELL - 12), 0, 0.6, (255, 255, 255), 1, 16
        )
    return cells


def wave(width: int) -> np.ndarray:
    """The sound with a mark at each chosen frame: [WAVE_HEIGHT, width, 3] uint8 BGR."""
    samples, rate = soundfile.read(ROOT / "avatars/demo/speech.wav")
    picture = np.full((WAVE_HEIGHT, width, 3), PAPER, np.uint8)
    middle = WAVE_HEIGHT / 2
    scale = 0.92 * middle / np.abs(samples).max()
    for x, part in enumerate(np.array_split(samples, width)):
        top, bottom = int(middle - part.max() * scale), int(middle - part.min() * scale)
        cv2.line(picture, (x, top), (x, bottom), INK, 1)
    for frame in FRAMES:
        x = round(width * frame / 25 * rate / len(samples))
        cv2.line(picture, (x, 0), (x, WAVE_HEIGHT), MARK, 2)
        cv2.putText(picture, str(frame), (x + 4, 14), 0, 0.45, MARK, 1, 16)
    return picture


def main() -> None:
    """Renders, joins, writes."""
    with tempfile.TemporaryDirectory() as folder:
        row = np.hstack(rendered(Path(folder)))
    picture = np.vstack([row, wave(row.shape[1])])
    cv2.imwrite(str(ROOT / "docs/demo.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 88])


if __name__ == "__main__":
    main()
