"""A package is made beside its place and moved there when it is whole."""

from __future__ import annotations

import ctypes
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import EXIT_OUTPUT, EXIT_USAGE, StudioError

_HERE, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of renameat2(2)


def claim(output: Path, overwrite: bool) -> None:
    """The output must be new, or an avatar that may go."""
    if not output.exists():
        return
    if not overwrite:
        raise StudioError(f"{output}: exists; --overwrite replaces it", EXIT_OUTPUT)
    if not output.is_dir() or (any(output.iterdir()) and not (output / "avatar.json").is_file()):
        raise StudioError(f"{output}: exists and is not an avatar; it is left alone", EXIT_OUTPUT)


def package_name(name: str | None, output: Path) -> str:
    """--name, or the output's own; StudioError where it cannot be an avatar's."""
    name = name or output.name
    if not 1 <= len(name.encode()) <= 200 or "/" in name:
        raise StudioError(f"--name '{name}': want 1 to 200 bytes without '/'", EXIT_USAGE)
    return name


def _exchange(new: Path, old: Path) -> None:
    """Each gets the other's name. In one step, so that a killed run leaves one or the other in place; in three on file
    systems and machines that cannot."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 and renameat2(_HERE, os.fsencode(new), _HERE, os.fsencode(old), _EXCHANGE) == 0:
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{old.name}.old.", dir=old.absolute().parent))
    old.rename(aside / "avatar")
    new.rename(old)
    (aside / "avatar").rename(new)
    aside.rmdir()


@contextmanager
def new_package(output: Path) -> Iterator[Path]:
    """An empty folder to fill; it becomes `output` at the end of the block, or goes if that fails."""
    try:
        output.absolute().parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{output.name}.", dir=output.absolute().parent))
    except OSError as error:
        raise StudioError(f"{output}: {error.strerror}", EXIT_OUTPUT) from None
    try:
        yield part
        part.chmod(0o755)
        if output.exists():
            _exchange(part, output)  # `part` is the old one now, and goes below
        else:
            part.rename(output)
    except OSError as error:
        raise StudioError(f"{error.filename or output}: {error.strerror}", EXIT_OUTPUT) from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
