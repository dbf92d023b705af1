"""An avatar folder as one .zip, and back; where avatars are found by name, and which there are."""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from .errors import EXIT_OUTPUT, StudioError
from .new_package import claim, new_package

_MAX_ENTRIES, _MAX_BYTES = 200_000, 4 << 30


def _parsed(text: bytes, path: Path | str) -> dict[str, Any]:
    try:
        manifest = json.loads(text)
    except ValueError:
        raise StudioError(f"{path}: not JSON") from None
    if not isinstance(manifest, dict) or manifest.get("format") != "lipcast-avatar":
        raise StudioError(f"{path}: format is not lipcast-avatar")
    return manifest


def read_manifest(folder: Path) -> dict[str, Any]:
    """avatar.json of that folder. The engine checks the rest when it loads."""
    path = folder / "avatar.json"
    try:
        text = path.read_bytes()
    except OSError:
        if folder.is_file() and folder.suffix == ".zip":
            raise StudioError(f"{folder}: a packed avatar; lipcast avatar unpack makes the folder that is wanted") from None
        raise StudioError(f"{path}: no such file; want an avatar folder") from None
    return _parsed(text, path)


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


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile):
        raise StudioError(f"{path}: not a .zip that can be read") from None


def _top(archive: zipfile.ZipFile) -> PurePosixPath | None:
    """The folder of avatar.json in there: the highest, or one below it. None: it is no avatar."""
    names = [PurePosixPath(name) for name in archive.namelist()]
    found = min((n for n in names if n.name == "avatar.json"), key=lambda n: len(n.parts), default=None)
    return found.parent if found and len(found.parts) <= 2 else None


def unpack(source: Path, output: Path, overwrite: bool) -> None:
    """All of it or nothing. A name that leaves the folder, or too much data, is refused first."""
    claim(output, overwrite)
    with _opened(source) as archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        names = [PurePosixPath(entry.filename) for entry in entries]
        if len(entries) > _MAX_ENTRIES or sum(entry.file_size for entry in entries) > _MAX_BYTES:
            raise StudioError(f"{source}: more than {_MAX_ENTRIES} files or {_MAX_BYTES >> 30} GiB")
        for name in names:
            if name.is_absolute() or ".." in name.parts:
                raise StudioError(f"{source}: the name '{name}' leaves the package")
        top = _top(archive)
        if top is None:
            raise StudioError(f"{source}: no avatar.json in it")
        with new_package(output) as part:
            for entry, name in zip(entries, names, strict=True):
                if not name.is_relative_to(top):
                    continue
                try:
                    data = archive.read(entry)
                except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
                    raise StudioError(f"{source}: {entry.filename}: {error or 'cut off'}") from None
                target = part / name.relative_to(top)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)


def roots() -> list[Path]:
    """Where an avatar is found by name; `lipcast avatar` says, and else it is ./avatars."""
    places = os.environ.get("LIPCAST_AVATARS", "").split(":")
    return [Path(place) for place in places if place] or [Path("avatars")]


def find_avatar(wanted: Path) -> Path:
    """The folder that was given, else the first of that name in the roots."""
    if wanted.exists() or len(wanted.parts) != 1 or str(wanted) in (".", ".."):
        return wanted
    folders = [root / wanted for root in roots()]
    found = next((folder for folder in folders if (folder / "avatar.json").is_file()), None)
    if found is None:
        raise StudioError(f"{wanted}: no such folder, and no avatar of that name in {', '.join(map(str, roots()))}")
    return found


def _described(path: Path) -> str | None:
    """What that folder or .zip holds, in columns; why it cannot be read; None where it is no avatar."""
    try:
        if path.is_dir():
            if not (path / "avatar.json").is_file():
                return None
            found = read_manifest(path)
        else:
            with _opened(path) as archive:
                if (top := _top(archive)) is None:
                    return None
                found = _parsed(archive.read(str(top / "avatar.json")), path / "avatar.json")
    except (StudioError, zipfile.BadZipFile, OSError) as error:
        return str(error)
    generator = found.get("generator", {})
    size = f"{found.get('width')}x{found.get('height')}"
    return f"{size}\t{found.get('frame_count')} frames\t{generator.get('family')} {generator.get('inner_px')} px"


def describe(folders: Sequence[Path]) -> list[str]:
    """One line for each avatar, by the folder that has its name first; one that cannot be read says why."""
    there = [folder for folder in folders if folder.is_dir()]
    if not there:
        wanted = "want one that holds avatars: lipcast avatar list FOLDER"
        raise StudioError(f"{', '.join(map(str, folders))}: no such folder; {wanted}")
    lines: dict[str, str] = {}
    for folder in there:
        paths = [path for path in folder.iterdir() if path.is_dir() or path.suffix == ".zip"]
        for path in sorted(paths, key=lambda path: (path.is_file(), path.name)):  # a folder before its .zip
            name = path.name if path.is_dir() else path.stem
            if name not in lines and (said := _described(path)) is not None:
                lines[name] = f"{name}\t{said}\t{path}"
    return [lines[name] for name in sorted(lines)]
