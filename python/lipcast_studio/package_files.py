"""The parts of an avatar package that every maker writes alike (docs/avatar-format.md)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from .errors import StudioError

Box = tuple[int, int, int, int]


def check_is_file(path: Path) -> None:
    """Of what is to be read; StudioError says what stands there instead."""
    if path.is_file():
        return
    if path.is_dir():
        raise StudioError(f"{path}: a folder; want a file")
    raise StudioError(f"{path}: {'not a regular file; want one' if path.exists() else 'no such file'}")


def read_json(path: Path) -> Any:
    """What a maker's file holds; a whole number too large for 64 bits as a float, perhaps infinite."""
    try:
        return json.loads(path.read_text("utf-8"), parse_int=lambda text: int(text) if len(text) < 20 else float(text))
    except ValueError:
        raise StudioError(f"{path}: not JSON") from None
    except RecursionError:
        raise StudioError(f"{path}: nested too deep") from None


def file_entry(data: bytes) -> dict[str, Any]:
    """A file's line in the manifest."""
    return {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}


def file_entries(folder: Path, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The manifest's `files`: name -> sha256 and bytes."""
    return {name: file_entry((folder / name).read_bytes()) for name in names}


def write_boxes(folder: Path, boxes: Sequence[Box | None]) -> None:
    """boxes.json; None where a frame shows no face."""
    table = {"schema_version": 1, "boxes": [list(box) if box else None for box in boxes]}
    (folder / "boxes.json").write_text(json.dumps(table) + "\n")


def manifest_bytes(manifest: dict[str, Any]) -> bytes:
    """What stands in avatar.json."""
    return (json.dumps(manifest, indent=2, ensure_ascii=False) + "\n").encode("utf-8")


def _plain(text: str) -> str:
    """Without what the loader refuses in a text: names of files may hold it."""
    plain = "".join(" " if ord(c) < 0x20 or ord(c) == 0x7F else c for c in text)
    return plain.encode("utf-8", "replace").decode("utf-8")


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """avatar.json. Its provenance may name files of any name."""
    manifest = {**manifest, "provenance": _plain(manifest["provenance"])}
    (folder / "avatar.json").write_bytes(manifest_bytes(manifest))


def synctalk_generator(inner_px: int) -> dict[str, Any]:
    """The manifest's `generator` for SyncTalk_2D's mouths of 160 or 320 px."""
    return unet_generator(inner_px, "synctalk")


def unet_generator(inner_px: int, family: str) -> dict[str, Any]:
    """The same for a family whose U-Nets are fed alike: synctalk, ultralight."""
    return {
        "family": family,
        "model": "generator.onnx",
        "inner_px": inner_px,
        "border_px": 4,
        "mask": {"x": 5, "y": 5, "width": inner_px - 10, "height": inner_px - 15},
        "feather_px": 0,
    }


def wav2lip_generator(inner_px: int) -> dict[str, Any]:
    """The manifest's `generator` for Wav2Lip at 96 px, and its larger twins: the lower half is hidden."""
    upper = inner_px // 2
    return {
        "family": "wav2lip",
        "model": "generator.onnx",
        "inner_px": inner_px,
        "border_px": 0,
        "mask": {"x": 0, "y": upper, "width": inner_px, "height": inner_px - upper},
        "feather_px": 0,
    }


def mel_audio() -> dict[str, Any]:
    """The manifest's `audio` for Wav2Lip, which has no encoder of its own."""
    return {"kind": "mel", "padding": "reflect", "fps": {"num": 25, "den": 1}}


def ave_audio() -> dict[str, Any]:
    """The manifest's `audio` for SyncTalk_2D's audio encoder."""
    return encoded_audio("ave")


def encoded_audio(kind: str) -> dict[str, Any]:
    """The same for a kind with an encoder: ave, hubert, wenet."""
    rate = {"num": 20 if kind == "wenet" else 25, "den": 1}
    return {"kind": kind, "model": "audio_encoder.onnx", "padding": "zero", "fps": rate}
