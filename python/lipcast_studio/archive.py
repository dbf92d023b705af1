"""An avatar folder as one .zip, and back; where avatars are found by name, and which there are."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from .errors import EXIT_OUTPUT, StudioError
from .new_package import claim, new_package

_MANIFEST, _MOST_MANIFEST_BYTES = "avatar.json", 16 << 20
# What the loader takes (docs/avatar-format.md).
_MOST_FILES, _MOST_FILE_BYTES, _MOST_BYTES = 200_000, 1 << 30, 4 << 30
_MOST_NAME_BYTES, _MOST_PART_BYTES = 1024, 255
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED, _UTF8, _FILE_TYPE, _LINK = 0x1, 0x800, 0o170000, 0o120000
_BROKEN = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError)


def _parsed(text: bytes, path: Path | str) -> dict[str, Any]:
    if len(text) > _MOST_MANIFEST_BYTES:
        raise StudioError(f"{path}: more than {_MOST_MANIFEST_BYTES >> 20} MiB")
    try:
        manifest = json.loads(text)
    except ValueError:
        raise StudioError(f"{path}: not JSON") from None
    except RecursionError:
        raise StudioError(f"{path}: nested too deep: want at most 16 levels") from None
    if not isinstance(manifest, dict) or manifest.get("format") != "lipcast-avatar":
        raise StudioError(f"{path}: format is not lipcast-avatar")
    return manifest


def read_manifest(folder: Path) -> dict[str, Any]:
    """avatar.json of that folder. The engine checks the rest when it loads."""
    path = folder / _MANIFEST
    try:
        text = path.read_bytes()
    except OSError:
        if folder.is_file() and folder.suffix == ".zip":
            raise StudioError(f"{folder}: a packed avatar; lipcast avatar unpack makes the folder that is wanted") from None
        raise StudioError(f"{path}: no such file; want an avatar folder") from None
    return _parsed(text, path)


def _name_fault(name: str) -> str:
    """Why the loader takes no file of that name; empty where it does (lipcast/avatar/package_path.cc)."""
    try:
        parts = [len(part.encode()) for part in name.split("/")]
    except UnicodeEncodeError:
        return "is not UTF-8"
    if name.startswith("/") or ".." in name.split("/"):
        return "leaves the package"
    if "" in name.split("/") or "." in name.split("/"):
        return "has an empty part"
    if name[1:2] == ":":
        return "names a drive"
    if "\\" in name:
        return "has a backslash"
    if any(ord(c) < 0x20 or ord(c) == 0x7F for c in name):
        return "has a control character"
    if max(parts) > _MOST_PART_BYTES:
        return f"has a part of {max(parts)} bytes, more than {_MOST_PART_BYTES}"
    if (size := len(name.encode())) > _MOST_NAME_BYTES:
        return f"has {size} bytes, more than {_MOST_NAME_BYTES}"
    return ""


def _check_names(names: Sequence[str], where: Path) -> None:
    """Each is one that the loader takes, and none is a folder of another."""
    folders: set[str] = set()
    for name in names:
        if fault := _name_fault(name):
            raise StudioError(f"{where}: the name {name[:80]!r} {fault}; want a path inside the package, as frames/0.png")
        parent = name
        while "/" in parent and (parent := parent.rpartition("/")[0]) not in folders:
            folders.add(parent)
    both = next((name for name in names if name in folders), None)
    if both is not None:
        raise StudioError(f"{where}: {both[:80]!r} is a file and a folder; want one of them")


def _check_sizes(sizes: Sequence[int], where: Path) -> None:
    if len(sizes) > _MOST_FILES or sum(sizes) > _MOST_BYTES or max(sizes, default=0) > _MOST_FILE_BYTES:
        most = f"{_MOST_FILES} files, {_MOST_FILE_BYTES >> 30} GiB each and {_MOST_BYTES >> 30} GiB in all"
        found = f"{len(sizes)} files, {sum(sizes)} bytes, {max(sizes, default=0)} in one"
        raise StudioError(f"{where}: {found}; want at most {most}")


def _walk(folder: Path, root: Path, around: frozenset[Path]) -> Iterator[Path]:
    """Every file in there, links followed. StudioError for one that leads out of `root`, nowhere, or to what is `around` it."""
    for path in sorted(folder.iterdir()):
        if path.is_symlink() and not path.exists():
            raise StudioError(f"{path}: a link that leads nowhere; want a file inside the package")
        real = path.resolve()
        if not real.is_relative_to(root):
            raise StudioError(f"{path}: leads out of the package, to {real}; want a file inside it")
        if not path.is_dir():
            yield path
        elif real in around:
            raise StudioError(f"{path}: a link to a folder that it lies in; want a file or another folder")
        else:
            yield from _walk(path, root, around | {real})


def _is_archive(path: Path) -> bool:
    """An archive of an avatar, or what a killed run left of one."""
    return path.suffix == ".zip" or (path.name.startswith(".") and path.name.endswith(".part"))


def _files(folder: Path, made: Sequence[Path]) -> dict[str, Path]:
    """What is packed, by name: all that avatar.json lists or that lies with it; no archive beside it, nothing of `made`."""
    listed = read_manifest(folder).get("files")
    listed = listed if isinstance(listed, dict) else {}
    root, own = folder.resolve(), [path.resolve() for path in made]
    found: dict[str, Path] = {}
    for path in _walk(folder, root, frozenset({root})):
        name = path.relative_to(folder).as_posix()
        beside = path.parent == folder and _is_archive(path)
        if path.is_file() and path.resolve() not in own and (name in listed or not beside):
            found[name] = path
    missing = next((name for name in listed if name not in found), None)
    if missing is not None:
        raise StudioError(f"{folder / _MANIFEST}: lists {missing[:80]!r}: no such file in {folder}")
    _check_names(list(found), folder)
    _check_sizes([path.stat().st_size for path in found.values()], folder)
    return found


def pack(folder: Path, output: Path, overwrite: bool) -> None:
    """The folder's files, stored under their names; nothing is packed twice as tight as it is."""
    if output.suffix != ".zip":
        raise StudioError(f"{output}: want a name that ends in .zip", EXIT_OUTPUT)
    if output.exists() and not overwrite:
        raise StudioError(f"{output}: exists; --overwrite replaces it", EXIT_OUTPUT)
    part = output.with_name(f".{output.name}.part")
    files = _files(folder, (output, part))
    try:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED, strict_timestamps=False) as archive:
            for name, path in files.items():
                archive.write(path, name)
        part.replace(output)
    except OSError as error:
        if error.filename in map(str, files.values()):
            raise StudioError(f"{error.filename}: {error.strerror}") from None
        raise StudioError(f"{output}: {error.strerror}", EXIT_OUTPUT) from None
    finally:
        part.unlink(missing_ok=True)


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (OSError, ValueError, *_BROKEN):
        raise StudioError(f"{path}: not a .zip that can be read") from None


def _top(names: Sequence[str]) -> PurePosixPath | None:
    """The folder of avatar.json in there: the highest, or one below it. None: it is no avatar."""
    paths = [PurePosixPath(name) for name in names]
    found = min((p for p in paths if p.name == _MANIFEST), key=lambda p: len(p.parts), default=None)
    return found.parent if found and len(found.parts) <= 2 else None


def _entry_fault(entry: zipfile.ZipInfo) -> str:
    """Why the loader does not take it, whatever its name; empty where it does."""
    if entry.flag_bits & _ENCRYPTED:
        return "is encrypted; want a plain archive"
    if entry.compress_type not in _METHODS:
        return f"is compressed by method {entry.compress_type}; want it stored or deflated"
    if (entry.external_attr >> 16) & _FILE_TYPE == _LINK:
        return "is a symbolic link; want the file itself"
    return ""


def _name_of(entry: zipfile.ZipInfo) -> str:
    """As the loader reads it: UTF-8 where it is that, marked so or not (macOS does not mark it), else code page 437."""
    name = entry.orig_filename  # `filename` ends at a NUL
    try:
        return name if entry.flag_bits & _UTF8 else name.encode("cp437").decode("utf-8")
    except UnicodeError:
        return name


def _entries(archive: zipfile.ZipFile, source: Path) -> dict[str, zipfile.ZipInfo]:
    """Its files by name. StudioError, before any is read, for what the loader refuses."""
    found: dict[str, zipfile.ZipInfo] = {}
    for entry in archive.infolist():
        name = _name_of(entry)
        if name.endswith("/"):
            _check_names([name[:-1]], source)
            continue
        fault = "is there twice; want it once" if name in found else _entry_fault(entry)
        if fault:
            raise StudioError(f"{source}: {name[:80]!r} {fault}")
        found[name] = entry
    _check_names(list(found), source)
    _check_sizes([entry.file_size for entry in found.values()], source)
    return found


def _unpack_one(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with archive.open(entry) as data, target.open("wb") as out:
            shutil.copyfileobj(data, out, 1 << 20)
            size = out.tell()
    except _BROKEN as error:
        raise StudioError(f"{archive.filename}: {entry.filename}: {error or 'cut off'}") from None
    if size != entry.file_size:
        raise StudioError(f"{archive.filename}: {entry.filename}: unpacks to {size} bytes, its header says {entry.file_size}")


def unpack(source: Path, output: Path, overwrite: bool) -> None:
    """All of it or nothing. What the loader would refuse of the archive is refused before anything is written."""
    claim(output, overwrite)
    with _opened(source) as archive:
        entries = _entries(archive, source)
        top = _top(list(entries))
        if top is None:
            raise StudioError(f"{source}: no avatar.json in it")
        with new_package(output) as part:
            for name, entry in entries.items():
                if PurePosixPath(name).is_relative_to(top):
                    _unpack_one(archive, entry, part / PurePosixPath(name).relative_to(top))


def roots() -> list[Path]:
    """Where an avatar is found by name; `lipcast avatar` says, and else it is ./avatars."""
    places = os.environ.get("LIPCAST_AVATARS", "").split(":")
    return [Path(place) for place in places if place] or [Path("avatars")]


def find_avatar(wanted: Path) -> Path:
    """The folder that was given, else the first of that name in the roots."""
    if wanted.exists() or len(wanted.parts) != 1 or str(wanted) in (".", ".."):
        return wanted
    folders = [root / wanted for root in roots()]
    found = next((folder for folder in folders if (folder / _MANIFEST).is_file()), None)
    if found is None:
        raise StudioError(f"{wanted}: no such folder, and no avatar of that name in {', '.join(map(str, roots()))}")
    return found


def _manifest_in(path: Path) -> dict[str, Any] | None:
    """avatar.json of that folder or .zip; None where it is no avatar. StudioError where it cannot be read."""
    if path.is_dir():
        return read_manifest(path) if (path / _MANIFEST).is_file() else None
    with _opened(path) as archive:
        if _top([_name_of(entry) for entry in archive.infolist()]) is None:
            return None
        entries = _entries(archive, path)
        if (top := _top(list(entries))) is None:
            return None
        try:
            with archive.open(entries[str(top / _MANIFEST)]) as data:
                text = data.read(_MOST_MANIFEST_BYTES + 1)
        except _BROKEN as error:
            raise StudioError(f"{path / _MANIFEST}: {error or 'cut off'}") from None
        return _parsed(text, path / _MANIFEST)


def _described(path: Path) -> str | None:
    """What that folder or .zip holds, in columns; why it cannot be read; None where it is no avatar."""
    try:
        found = _manifest_in(path)
    except (StudioError, OSError) as error:
        return str(error)
    if found is None:
        return None
    generator = found.get("generator")
    if not isinstance(generator, dict):
        return f"{path / _MANIFEST}: generator is no object"
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
