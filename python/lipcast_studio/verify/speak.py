"""Renders an avatar in silence and in speech, and measures every frame as it comes."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..demo import measure
from ..demo.measure import Track
from ..engine import Bgr, Rendering, inspect
from ..errors import StudioError
from ..training import agreement
from . import seam, sounds

LONGEST_S = 120
_THUMB_PX, _MOST_THUMBS = 160, 300
_LEAST_RANGE = 0.1  # of log-mel loudness, which is -4..4


class Layout:
    """avatar.json and boxes.json as a rendering needs them. The loader has checked both."""

    def __init__(self, folder: Path, manifest: dict[str, Any]) -> None:
        self.folder = folder
        self.size: tuple[int, int] = (manifest["width"], manifest["height"])
        self.fps = manifest["fps"]["num"] / manifest["fps"]["den"]
        self.generator: dict[str, Any] = manifest["generator"]
        self.boxes: list[list[int] | None] = json.loads((folder / manifest["boxes"]).read_text("utf-8"))["boxes"]
        self.window = measure.mouth_window(self.generator["mask"], self.generator["inner_px"])
        self._order, self._count = str(manifest["order"]), int(manifest["frame_count"])
        if all(box is None for box in self.boxes):
            raise StudioError(f"{folder}: boxes.json: no frame shows a face: nothing to verify")

    def shown(self, step: int) -> int:
        """The avatar frame of the rendered frame `step`, at the avatar's own rate (docs/avatar-format.md)."""
        if self._order == "hold":
            return min(step, self._count - 1)
        if self._order == "loop" or self._count == 1:
            return step % self._count
        place = step % (2 * self._count - 2)
        return place if place < self._count else 2 * self._count - 2 - place

    def inner(self, frame: Bgr, step: int) -> Bgr | None:
        """What the network sees of that frame, [160,160,3]; None where there is no face."""
        box = self.boxes[self.shown(step)]
        return None if box is None else measure.inner_picture(frame, box, self.generator["inner_px"], self.generator["border_px"])

    def steps(self, frame: Bgr, step: int) -> seam.Steps | None:
        """seam.steps of that frame's box."""
        box = self.boxes[self.shown(step)]
        return None if box is None else seam.steps(frame, seam.edges(box, self.generator))

    def face(self, frame: Bgr, step: int, margin: float = 0.25) -> Bgr | None:
        """The box with its surroundings."""
        box = self.boxes[self.shown(step)]
        if box is None:
            return None
        x0, y0, x1, y1 = box
        more = round(margin * (x1 - x0))
        return frame[max(0, y0 - more) : y1 + more, max(0, x0 - more) : x1 + more].copy()


@dataclass
class Silence:
    """The avatar while nobody speaks: its own frames, and what the network draws."""

    shown_generated: int = 0  # frames that the network drew of those a user sees
    source_steps: dict[int, seam.Steps] = field(default_factory=dict)  # by avatar frame
    source: list[Bgr] = field(default_factory=list)  # inner pictures of the first seconds
    drawn: list[Bgr] = field(default_factory=list)
    closed: dict[int, Bgr] = field(default_factory=dict)  # mouth windows by step, where they are needed
    skin: float = 0.0


@dataclass
class Spoken:
    """One clip: openings, and what they must follow [n]."""

    clip: sounds.Clip
    expected: int
    opening: Track = field(default_factory=lambda: np.zeros(0))
    wanted: Track = field(default_factory=lambda: np.zeros(0))
    dark: Track = field(default_factory=lambda: np.zeros(0))
    seam: Track = field(default_factory=lambda: np.zeros(0))
    worst_seam: tuple[float, int] = (-math.inf, 0)
    thumbs: dict[int, Bgr] = field(default_factory=dict)

    @property
    def lag(self) -> int:
        """Frames by which the mouth is late."""
        return agreement.best_lag(self.opening, self.wanted)

    @property
    def r(self) -> float:
        """Correlation as it is, without any shift."""
        return agreement.correlation(self.opening, self.wanted)


def frames_of(path: Path, fps: float) -> int:
    """ceil(duration x fps), from what `lipcast inspect` says of the sound."""
    found = inspect(path)
    if "samples" not in found:
        raise StudioError(f"{path}: want a sound")
    count: int = math.ceil(found["samples"] * fps / found["rate_hz"] - 1e-9)
    return count


def spoken_frames(path: Path, fps: float) -> int:
    """frames_of a sound that is neither too short nor too long to be judged."""
    count = frames_of(path, fps)
    if count > LONGEST_S * fps:
        raise StudioError(f"{path}: {count / fps:.0f} s: want at most {LONGEST_S} s")
    if count < 2 * fps:
        raise StudioError(f"{path}: {count / fps:.2f} s: want at least 2 s of speech")
    return count


def be_silent(layout: Layout, work: Path, frames: int, keep_closed: bool) -> Silence:
    """Two renderings of silence: as users see it for `frames` frames, and drawn by the network."""
    found = Silence()
    first = sounds.SILENCE_S * round(layout.fps)
    rendering = Rendering(layout.folder, sounds.write_silence(work / "silence.wav", frames, layout.fps), layout.size)
    for step, frame in enumerate(rendering):
        index = layout.shown(step)
        if index not in found.source_steps and (steps := layout.steps(frame, step)) is not None:
            found.source_steps[index] = steps
        if step < first and (inner := layout.inner(frame, step)) is not None:
            found.source.append(inner)
    found.shown_generated = int(rendering.report["generated_frames"])
    drawn = sounds.write_silence(work / "drawn.wav", frames if keep_closed else min(first, frames), layout.fps)
    for step, frame in enumerate(Rendering(layout.folder, drawn, layout.size, ("--idle", "model"))):
        inner = layout.inner(frame, step)
        if inner is None:
            continue
        if step < first:
            found.drawn.append(inner)
        if keep_closed:
            found.closed[step] = inner[layout.window].copy()
    if not found.drawn:
        raise StudioError(f"{layout.folder}: no frame of its first {sounds.SILENCE_S} s shows a face: nothing to verify")
    found.skin = float(np.median([inner[layout.window][..., 1] for inner in found.drawn]))
    return found


def _filled(values: list[float]) -> Track:
    """Frames without a face take the value between their neighbours."""
    track = np.array(values, float)
    known = np.flatnonzero(np.isfinite(track))
    return np.interp(np.arange(len(track)), known, track[known]) if len(known) else np.zeros(len(track))


def speak(layout: Layout, clip: sounds.Clip, expected: int, silence: Silence, work: Path) -> Spoken:
    """One clip, every frame drawn by the network, measured frame by frame."""
    mel = work / "mel.npy"
    mel.unlink(missing_ok=True)
    rendering = Rendering(layout.folder, clip.path, layout.size, ("--idle", "model", "--dump", f"mel={mel}"))
    opening: list[float] = []
    dark: list[float] = []
    seams: list[float] = []
    found = Spoken(clip, expected)
    every = -(-expected // _MOST_THUMBS)
    for step, frame in enumerate(rendering):
        inner, steps = layout.inner(frame, step), layout.steps(frame, step)
        if inner is None or steps is None:
            for track in (opening, dark, seams):
                track.append(math.nan)
            continue
        mouth = inner[layout.window]
        if clip.area_px is not None:
            opening.append(measure.opening_area(inner))
        else:
            opening.append(measure.opening_change(mouth, silence.closed[step]) if step in silence.closed else math.nan)
        dark.append(measure.dark_area(mouth, silence.skin))
        excess = steps - silence.source_steps.get(layout.shown(step), steps)
        seams.append(float(np.nanmax(excess)) if np.isfinite(excess).any() else 0.0)
        if seams[-1] > found.worst_seam[0]:
            found.worst_seam = (seams[-1], step)
        if step % every == 0 and (face := layout.face(frame, step)) is not None:
            found.thumbs[step] = cv2.resize(face, (_THUMB_PX, _THUMB_PX), interpolation=cv2.INTER_AREA).astype(np.uint8)
    found.opening, found.dark, found.seam = _filled(opening), _filled(dark), _filled(seams)
    wanted = measure.loudness(np.load(mel), len(opening), layout.fps) if clip.area_px is None else clip.area_px
    if clip.area_px is None and np.ptp(wanted) < _LEAST_RANGE:
        raise StudioError(f"{clip.path}: silent, or of one loudness throughout: want speech, which a mouth can follow")
    found.wanted = wanted[: len(opening)]
    return found


def one_frame(layout: Layout, clip: sounds.Clip | None, step: int, work: Path) -> Bgr | None:
    """Frame `step` of a clip, or of silence as users see it, again; None where an engine that loses frames has it no more."""
    if clip is None:
        sound = sounds.write_silence(work / "one.wav", step + 1, layout.fps)
        frames: Iterator[Bgr] = iter(Rendering(layout.folder, sound, layout.size))
    else:
        frames = iter(Rendering(layout.folder, clip.path, layout.size, ("--idle", "model")))
    return next((frame for at, frame in enumerate(frames) if at == step), None)


def run(
    layout: Layout, clips: Sequence[sounds.Clip], counts: Sequence[int], say: Callable[[str], None]
) -> tuple[Silence, list[Spoken], list[Bgr]]:
    """Everything: silence, each clip of so many frames, and the frame with the worst seam beside its source picture."""
    with tempfile.TemporaryDirectory(prefix="lipcast-verify-") as folder:
        work = Path(folder)
        say(f"silence: {max(counts)} frames")
        silence = be_silent(layout, work, max(counts), keep_closed=clips[0].area_px is None)
        spoken = []
        for clip, count in zip(clips, counts, strict=True):
            say(f"{clip.name}: {count} frames")
            spoken.append(speak(layout, clip, count, silence, work))
        worst = max(spoken, key=lambda one: one.worst_seam[0])
        step = worst.worst_seam[1]
        pair = [one_frame(layout, clip, step, work) for clip in (None, worst.clip)]
        faces = [face for frame in pair if frame is not None and (face := layout.face(frame, step, 0.08)) is not None]
    return silence, spoken, faces
