"""The demo avatar's known mouths: renders them through the binary and measures both sides alike."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import lab
import numpy as np
import numpy.typing as npt
from lipcast_studio.demo import measure
from lipcast_studio.training import agreement

DEMO = lab.ROOT / "avatars/demo"
GATES = json.loads((lab.ROOT / "tests/truth_gates.json").read_text())
Track = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Clip:
    """A sound with its true opening. area_px, press: [n], one per frame."""

    name: str
    voice: str
    wav: Path
    area_px: Track
    press: Track


def clips() -> list[Clip]:
    """Every clip of avatars/demo/truth, by name."""
    found = []
    for path in sorted((DEMO / "truth").glob("*.json")):
        data = json.loads(path.read_text())
        found.append(
            Clip(
                path.stem,
                data["voice"],
                (path.parent / data["wav"]).resolve(),
                np.array(data["area_px"], float),
                np.array(data["press"], float),
            )
        )
    return found


@dataclass(frozen=True)
class Engine:
    """What the binary makes of the demo avatar, or of an optimised copy. flags: of `lipcast render`."""

    flags: tuple[object, ...] = ()
    avatar: Path = DEMO

    @cached_property
    def boxes(self) -> list[list[int]]:
        """Face boxes of the loop's frames."""
        return json.loads((DEMO / "boxes.json").read_text())["boxes"]

    def areas(self, wav: Path) -> Track:
        """[n]: the opening in each frame the binary renders of that sound, px."""
        data = lab.render(self.avatar, wav, "-", lab.PIXELS, "bgr", *self.flags).stdout
        frames = np.frombuffer(data, np.uint8).reshape(-1, 720, 1280, 3)
        found = []
        for i, frame in enumerate(frames):
            box = self.boxes[i % len(self.boxes)]
            found.append(measure.opening_area(measure.inner_picture(frame, box)))
        return np.array(found, float)


def scores(clip: Clip, area: Track) -> dict[str, float]:
    """r, best lag in frames, and the share of pressed frames that show closed lips."""
    return {
        "r": agreement.correlation(area, clip.area_px),
        "lag": agreement.best_lag(area, clip.area_px),
        "closed": measure.closed_share(area, clip.press),
    }
