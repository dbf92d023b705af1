"""avatar.json of a package folder: reading it, and adding networks with their figures."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import onnx

from lipcast_studio.optimise.split import RefusedError
from lipcast_studio.package_files import file_entry, manifest_bytes

MANIFEST = "avatar.json"


class Package:
    """An avatar folder. Nothing is changed before save()."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._written: dict[str, bytes] = {}
        self._dropped: set[str] = set()
        path = folder / MANIFEST
        if not path.is_file():
            raise RefusedError(f"{folder}: no {MANIFEST} in it: want the folder of an avatar package")
        try:
            self.manifest: dict[str, Any] = json.loads(path.read_text("utf-8"))
            self.generator: dict[str, Any] = self.manifest["generator"]
            self.model_name: str = self.generator["model"]
            self.model_sha256: str = self.manifest["files"][self.model_name]["sha256"]
        except (ValueError, KeyError, TypeError) as error:
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
        for name in names:
            if self.manifest["files"].pop(name, None) is not None:
                self._dropped.add(name)
        for key in ("split", "int8", "variant"):
            self.generator.pop(key, None)

    def save(self) -> None:
        """All files, or none: they are written aside first, and renamed one after the other, the manifest last."""
        aside: list[tuple[Path, Path]] = []
        try:
            for name, data in [*self._written.items(), (MANIFEST, manifest_bytes(self.manifest))]:
                temporary = self.folder / f".{name}.{os.getpid()}"
                aside.append((temporary, self.folder / name))
                temporary.write_bytes(data)
            for temporary, final in aside:
                temporary.replace(final)
        finally:
            for temporary, _ in aside:
                temporary.unlink(missing_ok=True)
        for name in self._dropped - set(self._written):
            (self.folder / name).unlink(missing_ok=True)
