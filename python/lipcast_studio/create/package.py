"""The trained networks and the recording's best stretch as an avatar package."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ..face.boxes import Box
from ..face.track import runs
from ..find_torch import find_torch
from ..package_files import ave_audio, file_entries, synctalk_generator, write_boxes, write_manifest
from ..speech import clearest_speech
from ..training.mel import windows
from ..training.nets import AudioEncoder, Generator
from ..training.networks import export_networks
from ..training.picture import Picture, inner_picture, network_input, of_output, with_inner_picture
from ..video.ffmpeg import FrameWriter, read_frames
from .material import Parts

find_torch()

import torch  # noqa: E402

LONGEST_FRAMES = 750  # 30 s, shown forwards and back


@dataclass(frozen=True)
class Background:
    """The stretch of the recording that the avatar shows: frames first .. first + count - 1 of `video`."""

    video: Path
    width: int
    height: int
    first: int
    boxes: list[Box]

    @property
    def count(self) -> int:
        return len(self.boxes)

    def frames(self) -> Iterator[Picture]:
        """As recorded."""
        return read_frames(self.video, self.width, self.height, first=self.first, count=self.count)


def background_of(video: Path, width: int, height: int, boxes: list[Box | None]) -> Background:
    """The longest stretch without an unusable frame, its first 30 s."""
    first, last = max(runs(np.array([box is not None for box in boxes])), key=lambda run: run[1] - run[0])
    kept = [box for box in boxes[first : min(last + 1, first + LONGEST_FRAMES)] if box is not None]
    return Background(video, width, height, first, kept)


def with_closed_mouth(
    background: Background, generator: Generator, rest: npt.NDArray[np.float32], inner_px: int
) -> Iterator[Picture]:
    """Its frames with the mouth at rest, drawn by the trained net: what the avatar shows when it is silent."""
    values = torch.from_numpy(rest)[None]
    for frame, box in zip(background.frames(), background.boxes, strict=True):
        picture = torch.from_numpy(network_input(inner_picture(frame, box, inner_px)))[None]
        with torch.no_grad():
            output = generator.image(picture, values)[0].numpy()
        yield with_inner_picture(frame, box, of_output(output))


def write_package(folder: Path, background: Background, encoder: AudioEncoder, generator: Generator,
                  rest: npt.NDArray[np.float32], wave: npt.NDArray[np.float32], inner_px: int, name: str, licence: str,
                  provenance: str, go_on: Callable[[str], None]) -> float:  # fmt: skip
    """Everything but create.json; returns the largest difference of ONNX Runtime from PyTorch. go_on may end it by raising."""
    samples = []
    with FrameWriter(folder / "frames.mp4", background.width, background.height) as writer:
        for i, frame in enumerate(with_closed_mouth(background, generator, rest, inner_px)):
            go_on("writing the package")
            writer.write(frame)
            if i in (0, background.count // 2):
                samples.append(network_input(inner_picture(frame, background.boxes[i], inner_px)))
            if i == 0:
                data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 85])[1]
                (folder / "preview.jpg").write_bytes(data.tobytes())
    write_boxes(folder, background.boxes)
    mel = windows(wave[: 30 * 640])
    with torch.no_grad():
        heard = encoder(torch.from_numpy(mel)).numpy()
    rows = np.stack([heard[:16], heard[16:32]]).astype(np.float32)
    difference = export_networks(encoder, generator, mel[:3], np.stack(samples[:2]), rows, folder)
    manifest: dict[str, Any] = {
        "format": "lipcast-avatar",
        "schema_version": 1,
        "name": name,
        "fps": {"num": 25, "den": 1},
        "frame_count": background.count,
        "width": background.width,
        "height": background.height,
        "order": "bounce",
        "color": {"matrix": "bt709", "range": "limited"},
        "frames": {"kind": "video", "path": "frames.mp4"},
        "boxes": "boxes.json",
        "idle": {"first": 0, "count": background.count},
        "generator": synctalk_generator(inner_px),
        "audio": ave_audio(),
        "files": file_entries(folder, ("frames.mp4", "boxes.json", "generator.onnx", "audio_encoder.onnx")),
        "provenance": provenance,
        "licence": licence,
    }
    write_manifest(folder, manifest)
    return difference


def own_speech(wave: npt.NDArray[np.float32], usable: npt.NDArray[np.bool_], parts: Parts) -> tuple[tuple[int, int] | None, bool]:
    """Frames first .. last - 1 of the clearest speech, and whether they are held out: else they are of the whole recording."""
    held = clearest_speech(wave[parts.held_out * 640 :], usable[parts.held_out :])
    if held is not None:
        return (held[0] + parts.held_out, held[1] + parts.held_out), True
    return clearest_speech(wave, usable), False


def write_figures(folder: Path, figures: dict[str, Any]) -> None:
    """create.json: what it was made of and what was measured."""
    (folder / "create.json").write_text(json.dumps(figures, indent=2) + "\n", "utf-8")
