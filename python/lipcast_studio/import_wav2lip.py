"""A Wav2Lip network and a video of the person -> an avatar package."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

from .errors import EXIT_USAGE, StudioError
from .face.landmarks import FaceFinder
from .face.progress import faces_progress
from .face.whole_face import WAV2LIP_PADS, Pads, find_face_boxes
from .face_boxes import Boxes, check_boxes, parse_box, parse_pads, read_box_file
from .livetalking_folder import is_livetalking, read_livetalking
from .new_package import claim, new_package, package_name
from .onnx_file import wav2lip_inner_px
from .package_files import check_is_file, file_entries, mel_audio, wav2lip_generator, write_boxes, write_manifest
from .speech import take_speech
from .synctalk_folder import copy_pictures
from .video_frames import Frames, write_frames

Say = Callable[[str], None]


def write_generator(source: Path, target: Path, say: Say) -> int:
    """Copies an .onnx of any size, exports a .pth of the published 96 px network; returns its side in pixels."""
    check_is_file(source)
    if source.suffix.lower() == ".onnx":
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
    return Frames(len(pictures.paths), pictures.width, pictures.height, Fraction(25), copied), boxes


def _find(video: Path, part: Path, frames: Frames, pads: Pads, finder: FaceFinder, say: Say) -> Boxes:
    """Looks for the face in every frame; StudioError where that finds no box at all."""
    progress = faces_progress(frames.count, say)
    found = find_face_boxes(frames.read(part), frames.count, (frames.width, frames.height), pads, finder, progress)
    reasons = sorted({reason for reason in found if isinstance(reason, str)})
    if not any(isinstance(box, list) for box in found):
        seen, where = " or ".join(reasons), f"all {frames.count} frames" if frames.count > 1 else "the picture"
        raise StudioError(f"{video}: {seen} in {where}, want one face: --box X,Y,W,H or --boxes FILE.json says where it is")
    return check_boxes(found, frames.width, frames.height, f"found, pads {','.join(map(str, pads))}", video)


def import_wav2lip(
    source: Path,
    video: Path,
    output: Path,
    say: Say,
    *,
    box: str | None = None,
    boxes: Path | None = None,
    pads: str | None = None,
    name: str | None = None,
    licence: str = "",
    overwrite: bool = False,
) -> None:
    """`video`: a video, one picture, or a LiveTalking folder, which brings its boxes.

    Its face is looked for unless box or boxes say where it is. Writes the package beside `output` and moves it there
    when it is whole. StudioError says what does not fit.
    """
    livetalking = is_livetalking(video)
    given = [flag for flag, value in (("--box", box), ("--boxes", boxes), ("--pads", pads)) if value is not None]
    if livetalking and given:
        raise StudioError(f"{video}: its coords.pkl has the boxes; want no {given[0]}", EXIT_USAGE)
    if len(given) > 1:
        raise StudioError(f"{given[0]} with {given[1]}: want one of them; --pads goes with a face that is looked for", EXIT_USAGE)
    same = parse_box(box) if box is not None else None
    around = parse_pads(pads) if pads is not None else WAV2LIP_PADS
    name = package_name(name, output, licence)
    claim(output, overwrite)
    finder = FaceFinder() if not (livetalking or box or boxes) else None  # told at once where its models are missing
    with new_package(output) as part:
        inner_px = write_generator(source, part / "generator.onnx", say)
        if livetalking:
            frames, faces = _take_folder(video, part)
        else:
            frames = write_frames(video, part)
            for note in frames.notes:
                say(f"video: {note}")
            if finder is not None:
                faces = _find(video, part, frames, around, finder, say)
            else:
                found = read_box_file(boxes, frames.count) if boxes else [same] * frames.count
                faces = check_boxes(found, frames.width, frames.height, str(boxes or f"--box {box}"), boxes or video)
            if frames.sounds:
                take_speech(video, part, say)
        say(f"frames: {frames.count} of {frames.width}x{frames.height}, {frames.fps} a second; boxes: {faces.source}")
        skipped = faces.skipped(frames.fps)
        if skipped:
            say(skipped)
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
