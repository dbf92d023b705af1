"""The commands that a page of docs/ shows, run as they stand there, and the lines that it says they print."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import lab

NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[+-]\d+)?")


def section_of(page: str, title: str) -> str:
    """The text under the heading that begins with `title`."""
    text = (lab.ROOT / "docs" / page).read_text("utf-8")
    return text.split(f"\n## {title}")[1].split("\n## ")[0]


def _blocks(section: str, language: str) -> list[str]:
    """The fenced blocks of that language; "" has those without one."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    return [text for name, text in fenced if name == language]


def commands_of(section: str) -> list[str]:
    """The lines of its sh blocks that run lipcast, continued lines joined, comments left off."""
    lines = "".join(_blocks(section, "sh")).replace("\\\n", " ").splitlines()
    found = [re.sub(r"\s+#.*", "", line).strip() for line in lines]
    return [line for line in found if line.startswith("lipcast ")]


def lines_of(section: str) -> list[str]:
    """What it says is printed."""
    return [line for block in _blocks(section, "") for line in block.splitlines()]


def alike(line: str) -> str:
    """A line without its numbers."""
    return NUMBER.sub("#", line)


def environment() -> dict[str, str]:
    """lipcast on the PATH, this Python behind it, any free port."""
    return {
        **os.environ,
        "PATH": f"{lab.BINARY.parent}:{os.environ['PATH']}",
        "LIPCAST_PYTHON": sys.executable,
        "PYTHONPATH": str(lab.ROOT / "python"),
        "LIPCAST_LISTEN_GRPC_PORT": "0",
        "LIPCAST_LISTEN_HTTP_PORT": "0",
    }


def run(command: str, folder: Path, code: int = 0) -> str:
    """Standard output and standard error of a command of the page, in that folder."""
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert done.returncode == code, f"{command}: exit {done.returncode}\n{done.stdout}"
    return done.stdout


def prints(said: str, lines: list[str]) -> None:
    """Every line of the page stands in what was said, whatever its numbers are."""
    found = {alike(line) for line in said.splitlines()}
    for line in lines:
        assert alike(line) in found, f"the page says '{line}', the command\n{said}"
