"""python -m parity AVATAR WAV -o DIR: reference pictures as DIR/000000.png .., and its tables."""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from parity import pipeline


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(prog="parity", description=__doc__)
    parser.add_argument("avatar", type=Path)
    parser.add_argument("wav", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--edges", choices=pipeline.EDGES, default="silence")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    avatar = pipeline.open_avatar(options.avatar)
    audio = pipeline.hear(avatar, options.wav, options.edges)
    for name in ("mel", "windows", "features"):
        np.save(options.output / f"{name}.npy", getattr(audio, name).astype(np.float32))
    for i, picture in enumerate(pipeline.draw(avatar, audio)):
        cv2.imwrite(str(options.output / f"{i:06d}.png"), picture)
    print(f"{audio.frames} frames in {options.output}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
