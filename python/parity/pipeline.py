"""The whole way from a sound file and an avatar folder to pictures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from parity import features, mel, picture, windows
from parity.families import FAMILIES, HEARINGS, Family, Hearing

Bgr = npt.NDArray[np.uint8]
Box = tuple[int, int, int, int]
EDGES = ("silence", "reference")


@dataclass(frozen=True)
class Avatar:
    """What avatar.json and boxes.json say. Frames must be pictures."""

    folder: Path
    frame_count: int
    fps: tuple[int, int]
    order: str
    pattern: str
    first: int
    boxes: list[Box | None]
    layout: picture.Layout
    family: Family
    hearing: Hearing
    generator: str
    encoder: str | None
    padding: str

    def frame(self, index: int) -> Bgr:
        """[H, W, 3] of background frame `index`."""
        name = self.pattern % (index + self.first)
        image = cv2.imread(str(self.folder / name), cv2.IMREAD_COLOR)
        if image is None:
            raise ValueError(f"{self.folder / name}: not a picture")
        return image


def open_avatar(folder: Path) -> Avatar:
    """Reads the package of that folder."""
    manifest = json.loads((folder / "avatar.json").read_text("utf-8"))
    frames, generator, audio = manifest["frames"], manifest["generator"], manifest["audio"]
    if frames["kind"] != "images":
        raise ValueError(f"{folder}: frames.kind = {frames['kind']}, want images")
    if generator["family"] not in FAMILIES or generator.get("feather_px", 0) != 0:
        raise ValueError(f"{folder}: want a family of {', '.join(FAMILIES)}, without feather")
    family = FAMILIES[generator["family"]]
    mask = generator["mask"]
    boxes = json.loads((folder / manifest["boxes"]).read_text("utf-8"))["boxes"]
    return Avatar(
        folder=folder,
        frame_count=manifest["frame_count"],
        fps=(manifest["fps"]["num"], manifest["fps"]["den"]),
        order=manifest["order"],
        pattern=frames["path"],
        first=frames.get("first", 0),
        boxes=[tuple(box) if box else None for box in boxes],
        layout=picture.Layout(
            generator["inner_px"],
            generator["border_px"],
            (mask["x"], mask["y"], mask["width"], mask["height"]),
            family.masked_first,
            family.interpolation,
        ),
        family=family,
        hearing=HEARINGS[audio["kind"]],
        generator=generator["model"],
        encoder=audio.get("model"),
        padding=audio.get("padding", "reflect" if audio["kind"] == "mel" else "zero"),
    )


def background_index(step: int, count: int, order: str) -> int:
    """Which of `count` frames is shown at `step` >= 0."""
    if order == "hold":
        return min(step, count - 1)
    if order == "loop" or count == 1:
        return step % count
    if order == "bounce":
        place = step % (2 * count - 2)
        return place if place < count else 2 * count - 2 - place
    raise ValueError(f"order = {order}, want loop, bounce or hold")


@dataclass(frozen=True)
class Audio:
    """mel [T, 80] float64; windows [n, 80, 16]; features [n, F], of Wav2Lip the window itself; frames: pictures to make.

    Of models that hear samples: no mel; windows [n, W]; features [n * K, F], of which the first `heard` are used.
    """

    mel: npt.NDArray[np.float64]
    windows: npt.NDArray[np.float32]
    features: npt.NDArray[np.float32]
    frames: int
    heard: int


def hear(avatar: Avatar, wav: Path, edges: str = "silence") -> Audio:
    """The audio side of the pipeline for a whole file.

    edges: "silence" puts zeros behind the sound as far as the last frame looks ahead; "reference"
    makes as many windows (and frames) as the Python reference and lets the last ones slide back.
    """
    if edges not in EDGES:
        raise ValueError(f"edges = {edges}, want one of {EDGES}")
    native, rate_hz = mel.read_audio(str(wav))
    samples = mel.to_model_rate(native, rate_hz)
    hearing = avatar.hearing
    frames = -(-len(native) * hearing.fps // rate_hz)
    if hearing.tail_samples:
        return _hear_samples(avatar, samples, frames, edges)
    if edges == "silence":
        count = frames + hearing.look_ahead if frames else 0
        # Half a window more, so that the last mel frame holds silence and no padding.
        needed = windows.samples_needed(count) + mel.WINDOW_SAMPLES // 2
        if frames and needed > len(samples):
            samples = np.concatenate([samples, np.zeros(needed - len(samples), np.float32)])
        table = mel.log_mel(samples, avatar.padding)
    else:
        table = mel.log_mel(samples, avatar.padding)
        count = hearing.reference_count(len(table), len(samples))
        frames = count
    cut = windows.cut(table, count)
    if avatar.encoder is None:
        return Audio(table, cut, cut.reshape(count, -1), frames, count)
    session = features.open_model(str(avatar.folder / avatar.encoder))
    return Audio(table, cut, features.encode(session, cut), frames, count)


def _hear_samples(avatar: Avatar, samples: npt.NDArray[np.float32], frames: int, edges: str) -> Audio:
    """Windows of samples, one after another; each gives K features in a row."""
    assert avatar.encoder is not None
    session = features.open_model(str(avatar.folder / avatar.encoder))
    window_samples, together = session.get_inputs()[0].shape[1], session.get_outputs()[0].shape[1]
    hop = mel.SAMPLE_RATE_HZ // avatar.hearing.fps
    lead = window_samples - avatar.hearing.tail_samples - together * hop
    if edges == "reference":
        frames = heard = avatar.hearing.reference_count(0, len(samples))
    else:
        shapes = [value.shape[1:] for value in features.open_model(str(avatar.folder / avatar.generator)).get_inputs()]
        rows = next(int(np.prod(shape)) for shape in shapes if shape[0] != 6) // session.get_outputs()[0].shape[2]
        heard = frames + rows // 2 - 1 if frames else 0
    count = -(-heard // together)
    padded = np.zeros(lead + count * together * hop + window_samples, np.float32)
    padded[lead : lead + len(samples)] = samples[: len(padded) - lead]
    cut = np.stack([padded[w * together * hop :][:window_samples] for w in range(count)])
    name = session.get_inputs()[0].name
    table = np.concatenate([session.run(None, {name: window[None]})[0][0] for window in cut])
    return Audio(np.empty((0, mel.BANDS)), cut, table, frames, heard)


def render(avatar_dir: Path, wav: Path, edges: str = "silence") -> Iterator[Bgr]:
    """Pictures [H, W, 3] BGR at the model's frame rate, silence through the model too."""
    avatar = open_avatar(avatar_dir)
    audio = hear(avatar, wav, edges)
    yield from draw(avatar, audio)


def draw(avatar: Avatar, audio: Audio) -> Iterator[Bgr]:
    """The picture side: one frame after another."""
    session = features.open_model(str(avatar.folder / avatar.generator))
    names = sorted(session.get_inputs(), key=lambda value: value.shape[1] != 6)  # the picture first
    num, den = avatar.fps
    for i in range(audio.frames):
        step = i * num // (den * avatar.hearing.fps)
        index = background_index(step, avatar.frame_count, avatar.order)
        frame = avatar.frame(index)
        box = avatar.boxes[index]
        if box is None:
            yield frame
            continue
        resized = picture.crop(frame, box, avatar.layout)
        image = picture.pack(resized, avatar.layout)
        sound = avatar.family.sound(audio.features[: audio.heard], i, tuple(names[1].shape[1:]))
        output = session.run(None, {names[0].name: image[None], names[1].name: sound[None]})[0]
        mouth = picture.unpack(output[0])
        if mouth is None:
            yield frame
        else:
            yield picture.paste(frame, box, resized, mouth, avatar.layout)
