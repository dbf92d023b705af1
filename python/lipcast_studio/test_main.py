"""What a user reads when a command cannot begin."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
import wave
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from . import __main__

DEMO = Path(__file__).parents[2] / "avatars/demo"


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


def large_avatar(folder: Path) -> list[str]:
    """pack: three files of 1 GiB, of which the disk holds nothing."""
    folder.mkdir()
    (folder / "avatar.json").write_text('{"format": "lipcast-avatar"}')
    for i in range(3):
        with (folder / f"{i}.bin").open("wb") as file:
            file.truncate(1 << 30)
    return ["pack", str(folder), "-o", str(folder.with_name("out.zip"))]


def long_recording(folder: Path) -> list[str]:
    """import: an hour of sound, read when the new folder is there."""
    (folder / "full_body_img").mkdir(parents=True)
    cv2.imwrite(str(folder / "full_body_img/1.png"), np.zeros((240, 320, 3), np.uint8))
    (folder / "crop_rects.json").write_text(json.dumps([[60, 50, 231, 221]]))
    for name in ("generator.onnx", "audio_encoder.onnx"):
        shutil.copy(DEMO / name, folder / name)
    with wave.open(str(folder / "aud.wav"), "wb") as sound:
        sound.setparams((1, 2, 16_000, 0, "NONE", ""))
        for _ in range(60):
            sound.writeframes(bytes(2 * 16_000 * 60))
    return ["import", str(folder), "-o", str(folder.with_name("out"))]


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("make", [large_avatar, long_recording])
def test_a_command_that_is_ended_tidies_up_and_exits_with_130(make: Callable[[Path], list[str]], tmp_path: Path) -> None:
    command = make(tmp_path / "source")
    before = files(tmp_path)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-m", "lipcast_studio", *command]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) as process:
        end_s = time.monotonic() + 60
        while files(tmp_path) == before and process.poll() is None and time.monotonic() < end_s:
            time.sleep(0.002)
        assert files(tmp_path) != before, "nothing was begun"
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=60)[1].decode()
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert files(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_two_signals_at_once_are_one_wish_and_a_later_one_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, tidied = [100.0], []

    def work(arguments: Sequence[str]) -> int:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            clock[0] += 0.3
            signal.raise_signal(signal.SIGINT)
            tidied.append("all")
            clock[0] += 0.6
            signal.raise_signal(signal.SIGTERM)
            tidied.append("never")
        return 0

    monkeypatch.setattr(__main__, "_run", work)
    monkeypatch.setattr("lipcast_studio.__main__.time.monotonic", lambda: clock[0])
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a run in the background ignores it
    try:
        assert __main__.main([]) == 130
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert tidied == ["all"]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_signal_that_is_ignored_stays_so_and_a_thread_leaves_them_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(__main__, "_run", lambda arguments: seen.append(signal.getsignal(signal.SIGTERM)) or 0)
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        assert __main__.main([]) == 0
    finally:
        signal.signal(signal.SIGTERM, before)
    thread = threading.Thread(target=__main__.main, args=([],))
    thread.start()
    thread.join()
    assert seen == [signal.SIG_IGN, before]


@pytest.mark.parametrize("text", ["abc", "nan", "0", "100.5", ""])
def test_decibels_that_are_none_say_what_is_wanted(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert __main__.main(["optimise", "anna", "--require-psnr", text]) == 2
    told = capsys.readouterr().err
    assert f"--require-psnr: {text}: want more than 0 and at most 100 dB" in told and told.count("\n") == 1
