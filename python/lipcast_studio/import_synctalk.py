"""A SyncTalk_2D folder, as its training or an ONNX export left it -> an avatar package."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from .errors import EXIT_OUTPUT, EXIT_USAGE, StudioError
from .package_files import ave_audio, file_entries, synctalk_generator, write_boxes, write_manifest
from .synctalk_folder import Boxes, read_boxes, read_pictures
from .synctalk_models import Say, find_audio_encoder, find_generator, write_audio_encoder, write_generator


def _skipped(boxes: Boxes) -> str:
    shown = [f"{i} ({reason})" for i, reason in list(boxes.reasons.items())[:5]]
    more = len(boxes.reasons) - len(shown)
    return f"{len(boxes.reasons)} frames stay untouched: " + ", ".join(shown) + (f" and {more} more" if more else "")


def claim(output: Path, overwrite: bool) -> None:
    """The output must be new, or an avatar that may go."""
    if not output.exists():
        return
    if not overwrite:
        raise StudioError(f"{output}: exists; --overwrite replaces it", EXIT_OUTPUT)
    if not output.is_dir() or (any(output.iterdir()) and not (output / "avatar.json").is_file()):
        raise StudioError(f"{output}: exists and is not an avatar; it is left alone", EXIT_OUTPUT)


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
        raise StudioError(f"{source}: no such folder")
    name = name or output.name
    if not 1 <= len(name.encode()) <= 200 or "/" in name:
        raise StudioError(f"--name '{name}': want 1 to 200 bytes without '/'", EXIT_USAGE)
    claim(output, overwrite)
    generator_from = checkpoint or find_generator(source)
    encoder_from = audio_encoder or find_audio_encoder(source)
    pictures = read_pictures(source)
    boxes = read_boxes(source, pictures)
    say(f"pictures: {len(pictures.paths)} of {pictures.width}x{pictures.height}; boxes: {boxes.source}")
    if boxes.reasons:
        say(_skipped(boxes))
    try:
        output.absolute().parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{output.name}.", dir=output.absolute().parent))
    except OSError as error:
        raise StudioError(f"{output}: {error.strerror}", EXIT_OUTPUT) from None
    try:
        inner_px = write_generator(generator_from, part / "generator.onnx", say)
        write_audio_encoder(encoder_from, part / "audio_encoder.onnx", say)
        (part / "frames").mkdir()
        for path in pictures.paths:
            shutil.copyfile(path, part / "frames" / f"{int(path.stem)}{path.suffix.lower()}")
        write_boxes(part, boxes.boxes)
        manifest = {
            "format": "lipcast-avatar",
            "schema_version": 1,
            "name": name,
            "fps": {"num": 25, "den": 1},
            "frame_count": len(pictures.paths),
            "width": pictures.width,
            "height": pictures.height,
            "order": "bounce",
            "frames": {
                "kind": "images",
                "path": f"frames/%d{pictures.paths[0].suffix.lower()}",
                "first": pictures.first,
            },
            "boxes": "boxes.json",
            "generator": synctalk_generator(inner_px),
            "audio": ave_audio(),
            "files": file_entries(part, ("boxes.json", "generator.onnx", "audio_encoder.onnx")),
            "provenance": f"imported from the SyncTalk_2D folder {source.resolve().name}",
            "licence": licence,
        }
        write_manifest(part, manifest)
        part.chmod(0o755)
        if output.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{output.name}.old.", dir=part.parent))
            output.rename(old / "avatar")
            part.rename(output)
            shutil.rmtree(old)
        else:
            part.rename(output)
    except OSError as error:
        raise StudioError(f"{error.filename or output}: {error.strerror}", EXIT_OUTPUT) from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    say(f"avatar: {output}")
