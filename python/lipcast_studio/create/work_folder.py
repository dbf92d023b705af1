"""The folder beside the avatar that keeps what a run has made, so that an interrupted one goes on."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import EXIT_OUTPUT, StudioError

_CARD = "create.json"


def sha256_of(path: Path) -> str:
    """Of a file's bytes, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def want_place(folder: Path) -> None:
    """StudioError where no folder can be made beside this one, which need not exist: known before any work."""
    place = folder.resolve().parent
    try:
        place.mkdir(parents=True, exist_ok=True)
        Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=place)).rmdir()
    except OSError as error:
        raise StudioError(f"{folder}: no folder can be made in {place}: {error.strerror}", EXIT_OUTPUT) from None


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """The folder is one run's while the block lasts, or until its process is gone. StudioError where it is another's."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise StudioError(f"{folder}: another run is at work in it", EXIT_OUTPUT) from None
    finally:
        os.close(handle)


def open_work(folder: Path, made_of: dict[str, Any], *, restart: bool) -> bool:
    """Makes the folder, or takes it up; returns whether there was one of the same recording and options.

    StudioError where the folder is another's. restart throws away what it holds; it must be a work folder to go.
    """
    card = folder / _CARD
    if folder.exists() and restart:
        if not card.is_file():
            raise StudioError(f"{folder}: not a work folder of lipcast; it is left alone", EXIT_OUTPUT)
        with held(folder):
            shutil.rmtree(folder)
    if folder.exists():
        try:
            before = json.loads(card.read_text("utf-8"))
        except (OSError, ValueError):
            raise StudioError(f"{folder}: exists and is not a work folder; --work names another", EXIT_OUTPUT) from None
        other = [key for key in made_of if before.get(key) != made_of[key]]
        if other:
            was, now = before.get(other[0]), made_of[other[0]]
            raise StudioError(
                f"{folder}: holds a run with another {other[0]} ({was}, now {now}); --restart throws it away", EXIT_OUTPUT
            )
        return True
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    (part / _CARD).write_text(json.dumps(made_of, indent=2) + "\n", "utf-8")
    (part / "previews").mkdir()
    part.rename(folder)
    return False
