"""A package is made beside its place and moved there when it is whole."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import EXIT_OUTPUT, EXIT_USAGE, StudioError
from .swap_folders import put_in_place


def claim(output: Path, overwrite: bool) -> None:
    """The output must be new, or an avatar that may go."""
    if not output.exists():
        return
    if not overwrite:
        raise StudioError(f"{output}: exists; --overwrite replaces it", EXIT_OUTPUT)
    if not output.is_dir() or (any(output.iterdir()) and not (output / "avatar.json").is_file()):
        raise StudioError(f"{output}: exists and is not an avatar; it is left alone", EXIT_OUTPUT)


def _fits(text: str, most_bytes: int) -> bool:
    """Whether the loader takes it: UTF-8 without control characters, not too long."""
    try:
        size = len(text.encode("utf-8"))
    except UnicodeEncodeError:  # bytes of the command line that are none
        return False
    return size <= most_bytes and not any(ord(c) < 0x20 or ord(c) == 0x7F for c in text)


def package_name(name: str | None, output: Path, licence: str) -> str:
    """--name, or the output's own. StudioError where that, or --licence, cannot be an avatar's: before any work."""
    name = name or output.name
    if not name or "/" in name or not _fits(name, 200):
        raise StudioError(f"--name {name!r}: want 1 to 200 bytes of UTF-8 without '/' and control characters", EXIT_USAGE)
    if not _fits(licence, 1000):
        raise StudioError(f"--licence {licence[:80]!r}: want up to 1000 bytes of UTF-8 without control characters", EXIT_USAGE)
    return name


@contextmanager
def new_package(output: Path) -> Iterator[Path]:
    """An empty folder to fill; it becomes `output` at the end of the block, or goes if that fails.

    What stood there is replaced in one step and leaves its mode and owner.
    """
    place = output.resolve()  # a link stays one
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent))
    except OSError as error:
        raise StudioError(f"{output}: {error.strerror}", EXIT_OUTPUT) from None
    try:
        yield part
        part.chmod(0o755)
        if place.exists():
            shutil.copymode(place, part)
            with suppress(PermissionError):
                os.chown(part, place.stat().st_uid, place.stat().st_gid)
        put_in_place(part, place)
    except OSError as error:
        raise StudioError(f"{error.filename or output}: {error.strerror}", EXIT_OUTPUT) from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
