"""Puts a finished folder in a place in one step."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import tempfile
from pathlib import Path

AT_FDCWD = -100
RENAME_EXCHANGE = 2
CANNOT = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)


def _exchange(a: Path, b: Path) -> bool:
    """Both change places, in one step; False where this system cannot do that. OSError otherwise."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "renameat2"):
        return False
    if libc.renameat2(AT_FDCWD, os.fsencode(a), AT_FDCWD, os.fsencode(b), RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in CANNOT:
        return False
    raise OSError(number, os.strerror(number), str(b))


def put_in_place(part: Path, place: Path) -> None:
    """`part`, beside it, becomes `place`; what was there goes. A kill at any moment leaves one of them whole.

    Where the file system cannot exchange two names (some network ones), the old folder stands for a
    moment under a hidden name beside its place, and a kill then leaves it there.
    """
    if not place.exists():
        part.rename(place)
    elif _exchange(part, place):
        shutil.rmtree(part)
    else:
        aside = Path(tempfile.mkdtemp(prefix=f".{place.name}.old.", dir=place.parent))
        place.rename(aside / "avatar")
        part.rename(place)
        shutil.rmtree(aside)
