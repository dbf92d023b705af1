"""An avatar folder as one .zip, and back; and which avatars a folder holds."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any

from .errors import EXIT_OUTPUT, StudioError
from .new_package import claim

_MAX_ENTRIES, _MAX_BYTES = 200_000, 4 << 30


def read_manifest(folder: Path) -> dict[str, Any]:
    """avatar.json of that folder. The engine checks the rest when it loads."""
    path = folder / "avatar.json"
    try:
        manifest = json.loads(path.read_text("utf-8"))
    except OSError:
        raise StudioError(f"{path}: no such file; want an avatar folder") from None
    except ValueError:
        raise StudioError(f"{path}: not JSON") from None
    if not isinstance(manifest, dict) or manifest.get("format") != "lipcast-avatar":
        raise StudioError(f"{path}: format is not lipcast-avatar")
    return manifest


def pack(folder: Path, output: Path, overwrite: bool) -> None:
    """The folder's files, stored under their names; nothing is packed twice as tight as it is."""
    read_manifest(folder)
    if output.suffix != ".zip":
        raise StudioError(f"{output}: want a name that ends in .zip", EXIT_OUTPUT)
    if output.exists() and not overwrite:
        raise StudioError(f"{output}: exists; --overwrite replaces it", EXIT_OUTPUT)
    part = output.with_name(f".{output.name}.part")
    try:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
            for path in sorted(folder.rglob("*")):
                if path.is_file() and not path.is_symlink():
                    archive.write(path, path.relative_to(folder).as_posix())
        part.replace(output)
    except OSError as error:
        raise StudioError(f"{output}: {error.strerror}", EXIT_OUTPUT) from None
    finally:
        part.unlink(missing_ok=True)


def unpack(source: Path, output: Path) -> None:
    """Into a folder that does not exist yet. A name that leaves it, or too much data, is refused first."""
    claim(output, False)
    try:
        archive = zipfile.ZipFile(source)
    except (OSError, zipfile.BadZipFile):
        raise StudioError(f"{source}: not a .zip that can be read") from None
    with archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        names = [PurePosixPath(entry.filename) for entry in entries]
        if len(entries) > _MAX_ENTRIES or sum(entry.file_size for entry in entries) > _MAX_BYTES:
            raise StudioError(f"{source}: more than {_MAX_ENTRIES} files or {_MAX_BYTES >> 30} GiB")
        for name in names:
            if name.is_absolute() or ".." in name.parts:
                raise StudioError(f"{source}: the name '{name}' leaves the package")
        manifests = [name for name in names if name.name == "avatar.json"]
        top = min(manifests, key=lambda name: len(name.parts), default=None)
        if top is None or len(top.parts) > 2:
            raise StudioError(f"{source}: no avatar.json in it")
        for entry, name in zip(entries, names, strict=True):
            if name.is_relative_to(top.parent):
                target = output / name.relative_to(top.parent)
                target.parent.mkdir(parents=True, exist_ok=True)
                try:
                    target.write_bytes(archive.read(entry))
                except (OSError, zipfile.BadZipFile) as error:
                    raise StudioError(f"{source}: {entry.filename}: {error}", EXIT_OUTPUT) from None


def describe(root: Path) -> list[str]:
    """One line for each avatar folder in `root`; one that cannot be read says why."""
    if not root.is_dir():
        raise StudioError(f"{root}: no such folder; want one that holds avatars: lipcast avatar list FOLDER")
    lines = []
    for path in sorted(root.iterdir()):
        if (path / "avatar.json").is_file():
            try:
                found = read_manifest(path)
            except StudioError as error:
                lines.append(f"{path.name}\t{error}")
                continue
            generator = found.get("generator", {})
            size = f"{found.get('width')}x{found.get('height')}"
            model = f"{generator.get('family')} {generator.get('inner_px')} px"
            lines.append(f"{path.name}\t{size}\t{found.get('frame_count')} frames\t{model}")
    return lines
