"""What a user reads when a command cannot begin."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from . import __main__


def test_a_missing_package_names_a_command_that_can_be_pasted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(arguments: Sequence[str]) -> int:
        raise ModuleNotFoundError("No module named 'numpy'", name="numpy")

    monkeypatch.setattr(__main__, "_run", fail)
    monkeypatch.setattr(sys, "executable", "/opt/my tools/python")
    assert __main__.main([]) == 5
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "Python package numpy is missing" in said
    command = shlex.split(said.partition("or ")[2])
    assert command[:4] == ["/opt/my tools/python", "-m", "pip", "install"]
    assert Path(command[4]).is_dir()


def test_a_folder_that_is_not_there_says_what_is_wanted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert __main__.main(["list", str(tmp_path / "none")]) == 3
    assert "no such folder; want one that holds avatars" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "said"),
    [("anna.mp4", "lipcast avatar create takes a video"), ("195.pth", "a network alone; want --video with the person")],
)
def test_a_file_to_import_is_called_what_it_is(name: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / name).write_bytes(b"x")
    assert __main__.main(["import", str(tmp_path / name), "-o", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert f"{name}: " in told and said in told and told.count("\n") == 1
