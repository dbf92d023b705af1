"""A Wav2Lip network and a video of the person -> an avatar package."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

from .errors import EXIT_USAGE, StudioError
from .face_boxes import Boxes, check_boxes, parse_box, read_box_file
from .livetalking_folder import is_livetalking, read_livetalking
from .new_package import claim, new_package, package_name
from .onnx_file import wav2lip_inner_px
from .package_files import file_entries, mel_audio, wav2lip_generator, write_boxes, write_manifest
from .synctalk_folder import copy_pictures
from .video_frames import Frames, write_frames

Say = Callable[[str], None]

_WANT_BOXES = (
    "--box X,Y,W,H (one box for all frames) or --boxes FILE.json (one for each frame): "
    "want the face from the forehead to just below the chin, as Wav2Lip crops it"
)


def write_generator(source: Path, target: Path, say: Say) -> int:
    """Copies an .onnx of any size, exports a .pth of the published 96 px network; returns its side in pixels."""
    if not source.is_file():
        raise StudioError(f"{source}: no such file")
    if source.suffix == ".onnx":
        inner_px = wav2lip_inner_px(source)
        shutil.copyfile(source, target)
        say(f"generator: {source.name}, {inner_px} px, taken as it is")
        return inner_px
    from . import checkpoint, onnx_export  # PyTorch is needed from here on only
    from .networks.made_up import network_input
    from .networks.wav2lip import Wav2Lip

    what = "Wav2Lip's network of 96 px (a larger twin is imported as .onnx)"
    network = checkpoint.fill(Wav2Lip(), checkpoint.read_weights(source), what, source)
    inputs = [8 * network_input("mel", (2, 1, 80, 16)) - 4, network_input("image", (2, 6, 96, 96))]
    worst = onnx_export.export(network, inputs, ["mel", "picture"], "output", target)
    say(f"generator: {source.name}, 96 px; ONNX Runtime and PyTorch differ by at most {worst:.1e}")
    return 96


def _take_folder(folder: Path, part: Path) -> tuple[Frames, Boxes]:
    """LiveTalking's frames have no rate of their own: they are shown at the 25 it plays them at."""
    pictures, boxes = read_livetalking(folder)
    copied = copy_pictures(pictures, part)
    return Frames(len(pictures.paths), pictures.width, pictures.height, Fraction(25), copied, ()), boxes


def import_wav2lip(
    source: Path,
    video: Path,
    output: Path,
    say: Say,
    *,
    box: str | None = None,
    boxes: Path | None = None,
    name: str | None = None,
    licence: str = "",
    overwrite: bool = False,
) -> None:
    """`video`: a video, one picture, or a LiveTalking folder, which brings its boxes.

    Writes the package beside `output` and moves it there when it is whole. StudioError says what does not fit.
    """
    livetalking = is_livetalking(video)
    if livetalking and (box or boxes):
        raise StudioError(f"{video}: its coords.pkl has the boxes; want neither --box nor --boxes", EXIT_USAGE)
    if not livetalking and (box is None) == (boxes is None):
        raise StudioError(f"{video}: where is the face? Give {_WANT_BOXES}", EXIT_USAGE)
    same = parse_box(box) if box is not None else None
    name = package_name(name, output)
    claim(output, overwrite)
    with new_package(output) as part:
        inner_px = write_generator(source, part / "generator.onnx", say)
        if livetalking:
            frames, faces = _take_folder(video, part)
        else:
            frames = write_frames(video, part)
            found = read_box_file(boxes, frames.count) if boxes else [same] * frames.count
            given = str(boxes) if boxes else f"--box {box}"
            faces = check_boxes(found, frames.width, frames.height, given, boxes or video)
        say(f"frames: {frames.count} of {frames.width}x{frames.height}, {frames.fps} a second; boxes: {faces.source}")
        if faces.skipped:
            say(faces.skipped)
        write_boxes(part, faces.boxes)
        manifest = {
            "format": "lipcast-avatar",
            "schema_version": 1,
            "name": name,
            "fps": {"num": frames.fps.numerator, "den": frames.fps.denominator},
            "frame_count": frames.count,
            "width": frames.width,
            "height": frames.height,
            "order": "bounce",
            "frames": frames.frames,
            "boxes": "boxes.json",
            "generator": wav2lip_generator(inner_px),
            "audio": mel_audio(),
            "files": file_entries(part, ("boxes.json", "generator.onnx", *frames.files)),
            "provenance": f"Wav2Lip network {source.name}, frames of {video.name}",
            "licence": licence,
        }
        write_manifest(part, manifest)
    say(f"avatar: {output}")
