"""docs/avatar-import.md: every command of it, run as it stands on made-up folders, prints what the page says."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import lab
import page_commands
import pytest
from lipcast_studio.find_torch import find_torch
from test_avatar_import import make_training_folder, save_checkpoints
from test_import_ultralight import folder_of
from test_import_wav2lip import save_checkpoint

find_torch()

PAGE = "avatar-import.md"
SYNCTALK, LOOK, WAV2LIP, ULTRALIGHT = "2 Import", "3 Look", "4 Wav2Lip", "5 Ultralight"


def commands(title: str) -> list[str]:
    return page_commands.commands_of(page_commands.section_of(PAGE, title))


def printed(title: str) -> list[str]:
    return page_commands.lines_of(page_commands.section_of(PAGE, title))


@pytest.fixture(scope="module")
def anna(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where section 2 was followed: a trained person, imported."""
    folder = tmp_path_factory.mktemp("page")
    make_training_folder(folder / "dataset/anna")
    unet = folder / "checkpoint/anna/195.pth"
    encoder = folder / "model/checkpoints/audio_visual_encoder.pth"
    save_checkpoints(unet, encoder)
    (command,) = commands(SYNCTALK)
    page_commands.prints(page_commands.run(command, folder), printed(SYNCTALK))
    lab.ffmpeg(
        "-i", lab.ROOT / "avatars/demo/speech.wav", "-t", 1, folder / "speech.wav"
    )
    return folder


def test_every_command_of_the_page_is_run_here() -> None:
    text = (lab.ROOT / "docs" / PAGE).read_text("utf-8")
    titles = re.findall(r"^## (.*)$", text, re.MULTILINE)
    found = [c for title in titles for c in commands(title)]
    known = [c for t in (SYNCTALK, LOOK, WAV2LIP, ULTRALIGHT) for c in commands(t)]
    assert sorted(found) == sorted(known)
    assert [command.split()[1:3] for command in commands(LOOK)] == [
        ["inspect", "avatars/anna"],
        ["avatar", "optimise"],
        ["avatar", "verify"],
        ["render", "--avatar"],
        ["serve", "-a"],
        ["avatar", "pack"],
    ]
    assert len(known) == 9


@pytest.fixture
def served(anna: Path) -> Iterator[str]:
    """The page's serve, and the address it prints."""
    (command,) = (c for c in commands(LOOK) if c.startswith("lipcast serve"))
    process = subprocess.Popen(
        command.split(),
        cwd=anna,
        env=page_commands.environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        lines = (re.match(r"http  (\S+)", line) for line in process.stdout)
        yield next(found[1] for found in lines if found)
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0


def test_the_imported_person_is_made_faster_rendered_and_packed(anna: Path) -> None:
    """Made-up weights are no talking mouth, so `verify` fails it: exit 1, with the whole report."""
    inspect, optimise, verify, render, _, pack = commands(LOOK)
    page_commands.run(inspect, anna)
    assert (anna / "sheet.png").stat().st_size > 1000
    assert "draws with " in page_commands.run(optimise, anna)
    assert "split" in lab.read_manifest(anna / "avatars/anna")["generator"]
    assert "verdict: FAIL" in page_commands.run(verify, anna, code=1)
    report = json.loads((anna / "anna-report/verify.json").read_text())
    assert report["clips"][0]["name"] == "speech"
    assert report["compared_with"] == "loudness"
    page_commands.run(render, anna)
    assert int(lab.probe(anna / "anna.mp4")["nb_read_packets"]) == 25
    page_commands.run(pack, anna)
    page_commands.run("lipcast inspect ./anna.zip", anna)


def test_the_imported_person_is_served(anna: Path, served: str) -> None:
    with urllib.request.urlopen(f"{served}v1/avatars", timeout=30) as answer:
        names = [avatar["name"] for avatar in json.load(answer)["avatars"]]
    assert "anna" in names
    with urllib.request.urlopen(served, timeout=30) as page:
        assert b"lipcast" in page.read()


def test_a_wav2lip_network_and_a_video_become_an_avatar(
    talking_demo: Path, tmp_path: Path
) -> None:
    save_checkpoint(tmp_path / "wav2lip_gan.pth")
    (tmp_path / "anna.mp4").symlink_to(talking_demo)
    (command,) = commands(WAV2LIP)
    page_commands.prints(page_commands.run(command, tmp_path), printed(WAV2LIP))
    page_commands.run("lipcast inspect ./avatars/anna", tmp_path)


def test_an_ultralight_folder_becomes_an_avatar(tmp_path: Path) -> None:
    folder = folder_of("hubert", tmp_path / "dataset/anna")
    (tmp_path / "checkpoint").mkdir()
    (folder / "checkpoint/best.pth").rename(tmp_path / "checkpoint/195.pth")
    (folder / "hubert.onnx").rename(tmp_path / "hubert.onnx")
    (command,) = commands(ULTRALIGHT)
    page_commands.run(command, tmp_path)
    page_commands.run("lipcast inspect ./avatars/anna", tmp_path)
