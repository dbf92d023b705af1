"""A SyncTalk_2D or Ultralight folder, as its training or an ONNX export left it -> an avatar package."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from .errors import StudioError
from .livetalking_folder import is_livetalking, read_livetalking
from .new_package import claim, new_package, package_name
from .package_files import encoded_audio, file_entries, unet_generator, write_boxes, write_manifest
from .speech import SPEECH_FILE, take_speech
from .synctalk_folder import check_hashes, copy_pictures, read_boxes, read_pictures, read_rate
from .synctalk_models import Say, find_audio_encoder, find_generator, write_audio_encoder, write_generator

_SOUNDS = (SPEECH_FILE, "aud.wav")  # the latter is what both trainings cut from their video
NAMES = {"synctalk": "SyncTalk_2D", "ultralight": "Ultralight"}


def import_synctalk(
    source: Path,
    output: Path,
    say: Say,
    *,
    checkpoint: Path | None = None,
    audio_encoder: Path | None = None,
    name: str | None = None,
    licence: str = "",
    overwrite: bool = False,
) -> None:
    """Writes the package beside `output` and moves it there when it is whole. StudioError says what does not fit.

    The pictures are copied byte for byte, so nothing is encoded twice.
    """
    if not source.is_dir():
        raise StudioError(f"{source}: {'neither a folder nor a file' if source.exists() else 'no such folder'}")
    name = package_name(name, output, licence)
    claim(output, overwrite)
    generator_from = checkpoint or find_generator(source)
    encoder_from = audio_encoder or find_audio_encoder(source)
    check_hashes(source, (generator_from, encoder_from), say)
    rate = read_rate(source, say)
    livetalking = is_livetalking(source)
    if livetalking:
        pictures, boxes = read_livetalking(source)
    else:
        pictures = read_pictures(source)
        boxes = read_boxes(source, pictures)
    say(f"pictures: {len(pictures.paths)} of {pictures.width}x{pictures.height}; boxes: {boxes.source}")
    with new_package(output) as part:
        inner_px, kind = write_generator(generator_from, part / "generator.onnx", say)
        write_audio_encoder(encoder_from, part / "audio_encoder.onnx", kind, say)
        sound = next((source / sound for sound in _SOUNDS if (source / sound).is_file()), None)
        if sound is not None:
            take_speech(sound, part, say)
        if kind == "hubert":
            from .heard_in_windows import told

            say(f"audio encoder: {told(encoder_from, part / 'audio_encoder.onnx', part / SPEECH_FILE)}")
        write_boxes(part, boxes.boxes)
        family = "synctalk" if kind == "ave" else "ultralight"
        audio = encoded_audio(kind)
        fps = rate or Fraction(audio["fps"]["num"], audio["fps"]["den"])
        skipped = boxes.skipped(fps)
        if skipped:
            say(skipped)
        manifest = {
            "format": "lipcast-avatar",
            "schema_version": 1,
            "name": name,
            "fps": {"num": fps.numerator, "den": fps.denominator},
            "frame_count": len(pictures.paths),
            "width": pictures.width,
            "height": pictures.height,
            "order": "bounce",
            "frames": copy_pictures(pictures, part),
            "boxes": "boxes.json",
            "generator": unet_generator(inner_px, family),
            "audio": audio,
            "files": file_entries(part, ("boxes.json", "generator.onnx", "audio_encoder.onnx")),
            "provenance": f"imported from the {'LiveTalking' if livetalking else NAMES[family]} folder {source.resolve().name}",
            "licence": licence,
        }
        write_manifest(part, manifest)
    say(f"avatar: {output}")
