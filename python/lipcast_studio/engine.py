"""The `lipcast` binary, run as its users run it: what an avatar holds, and every frame it renders."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import EXIT_FAILURE, EXIT_UNAVAILABLE, StudioError

Bgr = npt.NDArray[np.uint8]


def find_engine() -> Path:
    """`lipcast avatar` says which binary started it; else the source tree's, else the one on PATH."""
    chosen = os.environ.get("LIPCAST_BIN")
    built = Path(__file__).parents[2] / "build/release/bin/lipcast"
    found = chosen or (str(built) if built.is_file() else shutil.which("lipcast"))
    if not found or not Path(found).is_file():
        raise StudioError(f"{found or 'lipcast'}: no such program; LIPCAST_BIN names the lipcast binary", EXIT_UNAVAILABLE)
    return Path(found)


def _fail(code: int, said: str) -> StudioError:
    """The binary's own line and exit code."""
    lines = [line for line in said.splitlines() if line.startswith("lipcast: ")]
    line = lines[-1].removeprefix("lipcast: ") if lines else f"lipcast ended with exit {code}: {said[-300:]}"
    return StudioError(line, code if 0 < code < 126 else EXIT_FAILURE)


def inspect(avatar: Path | str) -> dict[str, Any]:
    """`lipcast inspect --json`: every check of the loader is made. StudioError with the loader's line."""
    command = [str(find_engine()), "inspect", str(avatar), "--json"]
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode:
        raise _fail(run.returncode, run.stderr)
    report: dict[str, Any] = json.loads(run.stdout)
    return report


class Rendering:
    """One `lipcast render` to raw pictures, read as they come: iterate once, then look at `report`.

    Frames: [height,width,3] uint8 BGR, to the bit what the engine drew; one at a time in memory.
    Errors: StudioError with the engine's line and exit code, at the end of the frames.
    """

    def __init__(self, avatar: Path, sound: Path, size: tuple[int, int], flags: Sequence[str] = ()) -> None:
        self._shape = (size[1], size[0], 3)
        place = str(avatar.absolute())
        self._command = [str(find_engine()), "render", "--avatar", place, str(sound), "-o", "-", "--pixels", "bgr"]
        self._command += ["--json", "--quiet", *flags]
        self.report: dict[str, Any] = {}

    def __iter__(self) -> Iterator[Bgr]:
        count = int(np.prod(self._shape))
        with tempfile.TemporaryFile() as said:
            process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=said)
            assert process.stdout is not None
            try:
                while len(data := process.stdout.read(count)) == count:
                    yield np.frombuffer(data, np.uint8).reshape(self._shape)
                process.wait()
            finally:
                process.kill()
                process.wait()
                process.stdout.close()
            said.seek(0)
            text = said.read().decode("utf-8", "replace")
        if process.returncode:
            raise _fail(process.returncode, text)
        self.report = json.loads(text[text.index("{") :])
