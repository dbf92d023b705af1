"""avatar.json of a package folder: reading it, and adding networks with their figures."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import onnx

from lipcast_studio.engine import inspect
from lipcast_studio.errors import EXIT_OUTPUT, StudioError
from lipcast_studio.new_package import new_package
from lipcast_studio.optimise.split import RefusedError
from lipcast_studio.package_files import file_entry, manifest_bytes

MANIFEST = "avatar.json"
OF_EARLIER_RUNS = ("split", "int8", "variant")  # of the generator


class Package:
    """An avatar folder. Nothing is changed before save()."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._written: dict[str, bytes] = {}
        self._dropped: set[str] = set()
        self._as_read = True  # whether the manifest still says what the file says
        path = folder / MANIFEST
        if not path.is_file():
            raise RefusedError(f"{folder}: no {MANIFEST} in it: want the folder of an avatar package")
        try:
            self.manifest: dict[str, Any] = json.loads(path.read_text("utf-8"))
            self.generator: dict[str, Any] = self.manifest["generator"]
            self.model_name: str = self.generator["model"]
            self.model_sha256: str = self.manifest["files"][self.model_name]["sha256"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RefusedError(f"{path}: not a manifest of an avatar package: {error!r}") from None

    def network(self) -> onnx.ModelProto:
        """The whole generator, checked against its hash."""
        path = self.folder / self.model_name
        try:
            data = path.read_bytes()
        except OSError as error:
            raise RefusedError(f"{path}: {error.strerror}") from None
        found = hashlib.sha256(data).hexdigest()
        if found != self.model_sha256:
            raise RefusedError(f"{path}: sha256 = {found}: want {self.model_sha256} as in {MANIFEST}")
        try:
            return onnx.load_from_string(data)
        except Exception as error:  # protobuf's own kinds differ from version to version
            raise RefusedError(f"{path}: not an ONNX model: {error}") from None

    def add_model(self, name: str, model: onnx.ModelProto) -> None:
        """A network file."""
        self.add(name, model.SerializeToString())

    def add(self, name: str, data: bytes) -> None:
        """A file, listed with its size and hash."""
        self._written[name] = data
        self.manifest["files"][name] = file_entry(data)

    def drop(self, names: Iterable[str]) -> None:
        """What an earlier run made: its files, and what the manifest says of them."""
        found = [name for name in names if self.manifest["files"].pop(name, None) is not None]
        said = [key for key in OF_EARLIER_RUNS if self.generator.pop(key, None) is not None]
        self._dropped.update(found)
        self._as_read = self._as_read and not found and not said

    def check(self) -> None:
        """By the loader, whose line a StudioError has; what was dropped is left out, as it may be what is wrong."""
        if self._as_read:
            inspect(self.folder.absolute())
            return
        place = self.folder.resolve()
        try:
            with tempfile.TemporaryDirectory(prefix=f".{place.name}.", dir=place.parent) as part:
                self._copy(Path(part))
                try:
                    inspect(part)
                except StudioError as error:
                    raise StudioError(str(error).replace(part, str(self.folder)), error.code) from None
        except OSError as error:
            raise StudioError(f"{error.filename or self.folder}: {error.strerror}", EXIT_OUTPUT) from None

    def save(self) -> None:
        """All files, or none, whenever it is stopped: a new folder, of links to what stays, takes the old one's place."""
        with new_package(self.folder) as part:
            self._copy(part)

    def _copy(self, target: Path) -> None:
        """The package as it is to be, into an empty folder."""
        gone = {*self._dropped, *self._written, MANIFEST}

        def left_out(folder: str, names: list[str]) -> set[str]:
            return gone.intersection(names) if Path(folder) == self.folder else set()

        shutil.copytree(self.folder, target, symlinks=True, ignore=left_out, copy_function=_link, dirs_exist_ok=True)
        for name, data in self._written.items():
            (target / name).write_bytes(data)
        (target / MANIFEST).write_bytes(manifest_bytes(self.manifest))


def _link(source: str, target: str, *, follow_symlinks: bool = True) -> None:
    """The same file under another name, a copy where the file system has no such links."""
    try:
        os.link(source, target, follow_symlinks=follow_symlinks)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=follow_symlinks)
