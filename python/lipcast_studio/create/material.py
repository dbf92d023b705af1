"""What the two stages are trained on, out of one recording: its last part is held out from both."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..face.boxes import Box, head_scale, in_inner
from ..face.compose import with_mouth_of
from ..face.track import Track
from ..training.audio_stage import Chunk, Clip, clip_of
from ..training.image_stage import Pair
from ..training.picture import inner_picture
from ..video.ffmpeg import read_frames

Floats = npt.NDArray[np.float32]

HELD_OUT_SHARE = 0.15
_HELD_OUT_FRAMES = (50, 1500)  # at least, at most
_GAP_FRAMES = 25  # between what is trained on and what is held out
_CANDIDATES = 6
_SAME_SHARE = 0.1  # of pairs that show the frame as it is


@dataclass(frozen=True)
class Parts:
    """Frames 0 .. train-1 are trained on, held_out .. count-1 are held out."""

    train: int
    held_out: int
    count: int


def parts_of(count: int) -> Parts:
    """The last 15 %, 2 s at least and a minute at most, is held out."""
    low, high = _HELD_OUT_FRAMES
    held = int(min(high, max(low, HELD_OUT_SHARE * count)))
    return Parts(max(1, count - held - _GAP_FRAMES), count - held, count)


class Recorded:
    """Chunks of the recording's own speech (training.audio_stage.Speech)."""

    def __init__(self, wave: Floats, values: Floats, usable: npt.NDArray[np.bool_], rest: Floats, parts: Parts) -> None:
        self.rest = rest
        part = slice(0, parts.train)
        known = np.where(usable[part, None], values[part], rest)
        self.clip: Clip = clip_of(wave[: parts.train * 640], known, rest, known=usable[part])

    def draw(self, rng: np.random.Generator) -> Chunk:
        """Any 2.2 s."""
        return self.clip.draw(rng)


def cut(video: Path, track: Track, boxes: list[Box | None], inner_px: int, folder: Path) -> npt.NDArray[np.uint8]:
    """Inner pictures of all frames [n,S,S,3], zeros where there is no box; kept in `folder`, read as they are needed."""
    path = folder / f"pictures-{inner_px}.npy"
    if not path.exists():
        part = folder / f".pictures-{inner_px}.part.npy"
        shape = (len(boxes), inner_px, inner_px, 3)
        table = np.lib.format.open_memmap(part, "w+", np.uint8, shape)  # type: ignore[no-untyped-call]
        for i, frame in enumerate(read_frames(video, track.width, track.height)):
            box = boxes[i] if i < len(boxes) else None
            if box is not None:
                table[i] = inner_picture(frame, box, inner_px)
        table.flush()
        part.replace(path)
    return np.asarray(np.load(path, mmap_mode="r"))


class RecordedPairs:
    """Pairs out of the recording (training.image_stage.Pairs): a frame with another's mouth, and as it is."""

    def __init__(
        self, pictures: npt.NDArray[np.uint8], track: Track, boxes: list[Box | None], values: Floats, parts: Parts
    ) -> None:
        self.pictures, self.values = pictures, values
        usable = np.array([box is not None for box in boxes])
        self.train = np.flatnonzero(usable[: parts.train])
        self.held_out = np.flatnonzero(usable[parts.held_out :]) + parts.held_out
        inner_px = pictures.shape[1]
        self.points = np.full((len(boxes), 468, 2), np.nan)
        for i in np.flatnonzero(usable):
            box = boxes[i]
            assert box is not None
            self.points[i] = in_inner(track.points[i], box, inner_px)
        scale = head_scale(track.points)[:, None]
        nose = track.points[:, 4] - track.points[:, [33, 263]].mean(1)  # turns and nods of the head show here
        roll = track.points[:, 263] - track.points[:, 33]
        self.pose = np.concatenate([nose, roll], 1) / scale

    def _other(self, i: int, rng: np.random.Generator) -> int:
        """A trained frame of nearly the same pose, from another moment."""
        picks = self.train[rng.integers(0, len(self.train), _CANDIDATES)]
        distance = np.square(self.pose[picks] - self.pose[i]).sum(1) + 10.0 * (np.abs(picks - i) < 8)
        return int(picks[distance.argmin()])

    def pair(self, i: int, j: int) -> Pair:
        """Frame i with frame j's mouth, and frame i."""
        target = np.asarray(self.pictures[i])
        if i == j:
            return Pair(target, target, self.values[i])
        made = with_mouth_of(target, self.points[i], np.asarray(self.pictures[j]), self.points[j])
        return Pair(made, target, self.values[i])

    def draw(self, rng: np.random.Generator) -> Pair:
        """Of the trained part."""
        i = int(self.train[rng.integers(0, len(self.train))])
        return self.pair(i, i if rng.random() < _SAME_SHARE else self._other(i, rng))

    def held_out_pairs(self, count: int = 32) -> list[Pair]:
        """Evenly over the held-out part, each with a mouth of the trained part."""
        rng = np.random.default_rng(11)
        picks = self.held_out[np.linspace(0, len(self.held_out) - 1, min(count, len(self.held_out))).astype(int)]
        return [self.pair(int(i), self._other(int(i), rng)) for i in picks]
