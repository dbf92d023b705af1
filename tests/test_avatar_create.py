"""`lipcast avatar create`: a recording becomes an avatar, or a verdict that names frames and times.

The recording is the demo avatar's own render: a painted face that MediaPipe's models find, and real speech.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import lab
import numpy as np
import page_commands
import pytest
from lipcast_studio.__main__ import main
from lipcast_studio.find_torch import find_torch
from lipcast_studio.optimise.own_feeds import find_sound, read_sound
from lipcast_studio.optimise.package import Package

find_torch()

import torch  # noqa: E402

DEMO = lab.ROOT / "avatars/demo"
SPEECH = [DEMO / "speech.wav", DEMO / "truth/librivox-0920.wav"]
TINY = ("--fast", "--image-steps", "2", "--threads", "1")


def ffmpeg(*words: object) -> None:
    subprocess.run(["ffmpeg", "-y", "-v", "error", *map(str, words)], check=True)


@pytest.fixture(autouse=True)
def python(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' Python stands behind `lipcast avatar`."""
    monkeypatch.setenv("LIPCAST_PYTHON", sys.executable)
    path = os.pathsep.join([str(lab.ROOT / "python"), os.environ.get("PYTHONPATH", "")])
    monkeypatch.setenv("PYTHONPATH", path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("create")


@pytest.fixture(scope="module")
def talk(folder: Path) -> Path:
    """Twelve seconds of the demo avatar speaking, 640x360."""
    wav = folder / "speech.wav"
    inputs = [word for path in SPEECH for word in ("-i", path)]
    ffmpeg(*inputs, "-filter_complex", "[0][1]concat=v=0:a=1", "-t", 12, wav)
    lab.render(DEMO, wav, folder / "talk.mp4", "--size", "640x360")
    return folder / "talk.mp4"


def verdict(
    capsys: pytest.CaptureFixture[str], video: Path, *flags: object
) -> tuple[int, list[str]]:
    """Exit code and lines of `create --check`."""
    capsys.readouterr()
    words = ["create", video, "-o", video.with_suffix(".avatar"), "--check", *flags]
    code = main([str(word) for word in words])
    return code, capsys.readouterr().err.splitlines()


def told(lines: list[str], reason: str) -> list[tuple[int, int]]:
    """The runs of frames that a reason names; their times must agree."""
    (line,) = (line for line in lines if line.startswith(f"unusable, {reason}: "))
    found = re.findall(r"frames (\d+)-(\d+) \((\d+\.\d\d)-(\d+\.\d\d) s\)", line)
    for first, last, begins, ends in found:
        assert float(begins) == pytest.approx(int(first) / 25)
        assert float(ends) == pytest.approx((int(last) + 1) / 25)
    return [(int(first), int(last)) for first, last, _, _ in found]


def running(video: Path, output: Path) -> subprocess.Popen[str]:
    command = [lab.BINARY, "avatar", "create", video, "-o", output, *TINY]
    return subprocess.Popen(
        [*map(str, command), "--audio-steps", "8"], stderr=subprocess.PIPE, text=True
    )


def until(process: subprocess.Popen[str], said: str) -> Iterator[str]:
    """Its lines, to the one that begins so."""
    assert process.stderr is not None
    for line in process.stderr:
        yield line
        if line.startswith(said):
            return
    pytest.fail(f"ended without saying '{said}'")


@pytest.fixture(scope="module")
def recording(talk: Path, folder: Path) -> Path:
    """The talk, its face gone for a moment twice: the avatar shows the 101 frames between."""
    video = folder / "anna.mp4"
    gone = "between(n,95,98)+between(n,200,203)"
    box = f"drawbox=0:0:640:360:gray:fill:enable='{gone}'"
    ffmpeg("-i", talk, "-vf", box, "-crf", 14, "-c:a", "copy", video)
    return video


@pytest.fixture(scope="module")
def run(recording: Path, folder: Path) -> dict[str, object]:
    """One avatar, made in three goes: stopped by SIGTERM, killed, and finished."""
    output = folder / "anna"
    found: dict[str, object] = {"avatar": output}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIPCAST_PYTHON", sys.executable)
        patch.setenv("PYTHONPATH", str(lab.ROOT / "python"))
        stopped = running(recording, output)
        list(until(stopped, "audio: 8 steps"))
        stopped.send_signal(signal.SIGTERM)
        found["stopped"] = (stopped.communicate(timeout=120)[1], stopped.returncode)
        found["after stop"] = sorted(p.name for p in folder.glob("anna*"))
        words = ["create", recording, "-o", output, "--check", "--size", "l"]
        with contextlib.redirect_stderr(io.StringIO()) as said:
            found["other code"] = main([str(word) for word in words])
        found["other"] = said.getvalue()
        killed = running(recording, output)
        found["again"] = list(until(killed, "image: size s"))
        killed.kill()
        killed.communicate()
        found["after kill"] = sorted(p.name for p in folder.glob("anna*"))
        last = running(recording, output)
        found["last"] = last.communicate(timeout=300)[1]
        found["code"] = last.returncode
    return found


def test_a_run_that_is_stopped_goes_on_where_it_was(run: dict[str, object]) -> None:
    said, code = run["stopped"]
    assert code == 130
    step = int(re.search(r"stopped at step (\d+) of 8 of audio", said)[1])
    assert f"audio: goes on at step {step} of 8\n" in run["again"]
    assert run["after stop"] == ["anna.mp4", "anna.work"]


def test_a_run_that_is_killed_leaves_no_avatar_and_trains_nothing_twice(
    run: dict[str, object],
) -> None:
    assert run["after kill"] == ["anna.mp4", "anna.work"]
    assert run["code"] == 0, run["last"]
    assert "audio: step" not in run["last"]
    assert "faces: frame" not in run["last"]
    assert "image: step 2 of 2" in run["last"]


def test_the_avatar_passes_every_check_of_the_engine_and_speaks(
    run: dict[str, object], folder: Path
) -> None:
    avatar = run["avatar"]
    facts = lab.lipcast("inspect", avatar, "--json").report
    assert facts["size"] == "640x360"
    manifest = lab.read_manifest(avatar)
    assert manifest["order"] == "bounce"
    assert manifest["idle"] == {"first": 0, "count": manifest["frame_count"]}
    assert manifest["frame_count"] == 101
    assert "package: frames 99-199 of the recording" in run["last"]
    assert lab.render(avatar, SPEECH[0], folder / "said.mp4", "--json").report["frames"]
    pictures = lab.pictures(avatar, SPEECH[1])
    assert len(pictures) > 100
    x0, y0, x1, y1 = lab.box_of(avatar)
    assert pictures[20:100, y0:y1, x0:x1].astype(float).std(0).max() > 3


def test_what_was_measured_stands_in_the_package_and_the_work_folder_is_gone(
    run: dict[str, object], folder: Path
) -> None:
    facts = json.loads((run["avatar"] / "create.json").read_text())
    assert facts["training"]["audio"]["steps"] == 8
    assert -1 <= facts["check"]["mouth_r"] <= 1
    assert facts["check"]["held_out_frames"] > 25
    assert facts["onnx_difference"] <= 1e-4
    assert f"check: mouth opening r {facts['check']['mouth_r']:.2f}" in run["last"]
    assert sorted(p.name for p in folder.glob("*anna*")) == ["anna", "anna.mp4"]


def test_the_persons_own_speech_is_in_the_package_for_optimise(
    run: dict[str, object],
) -> None:
    """The recording holds out 2 s, too few: the whole of it is taken from, and create.json says so."""
    facts = json.loads((run["avatar"] / "create.json").read_text())["speech"]
    first, last = facts["frames"]
    assert not facts["held_out"]
    seconds = (last + 1 - first) / 25
    said = f"speech.wav: {first / 25:.2f}-{(last + 1) / 25:.2f} s of the recording\n"
    assert said in run["last"]
    assert 5 < seconds <= 10
    samples = read_sound(find_sound(Package(run["avatar"]), None))
    assert len(samples) == round(seconds * 16000)
    assert np.abs(samples).max() > 0.05


def test_an_avatar_that_exists_is_replaced_only_when_asked(
    run: dict[str, object], recording: Path
) -> None:
    avatar = run["avatar"]
    before = {p.name: p.read_bytes() for p in avatar.iterdir()}
    again = lab.lipcast("avatar", "create", recording, "-o", avatar, *TINY, ok=False)
    assert again.code == 4
    lab.refused(again, "anna: exists; --overwrite replaces it")
    assert {p.name: p.read_bytes() for p in avatar.iterdir()} == before
    assert not avatar.with_name("anna.work").exists()


def test_a_work_folder_of_other_options_is_not_mixed_up(
    run: dict[str, object], talk: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run["other code"] == 4
    said = r"anna\.work: holds a run with another size \(s, now l\); --restart throws"
    assert re.search(said, run["other"])
    code, lines = verdict(capsys, talk, "--work", folder, "--restart")
    assert code == 4
    assert "not a work folder of lipcast; it is left alone" in lines[0]
    assert talk.exists()


def test_frames_of_no_use_are_told_by_reason_frame_and_time(
    talk: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = folder / "mixed.mp4"
    blurred = "gblur=sigma=5:enable='between(n,40,59)'"
    gone = "drawbox=0:0:640:360:gray:fill:enable='between(n,100,119)'"
    off = "overlay=x='if(between(n,180,199),-290,0)':y=0:shortest=1"
    twice = "overlay=x=440:y=90:enable='between(n,220,239)'"
    graph = (
        f"[0:v]{blurred},{gone},split[a][c];color=gray:640x360:r=25[b];[b][a]{off}[d];"
        f"[c]crop=180:180:230:90[e];[d][e]{twice}"
    )
    ffmpeg("-i", talk, "-filter_complex", graph, "-c:v", "libx264", "-crf", 14, video)
    code, lines = verdict(capsys, video)
    assert code == 3  # 220 of 300 frames are left: 8.8 s
    assert re.search(r"8\.\d s of usable picture, want 10 or more: ", lines[-1])
    assert told(lines, "no face") == [(100, 119)]
    assert told(lines, "blurred") == [(40, 59)]
    assert told(lines, "several faces") == [(220, 239)]
    cut = told(lines, "face cut off")
    assert cut[0][0] <= 181
    assert cut[-1][1] in (198, 199)


@pytest.mark.parametrize("name", ["broken.mp4", "broken.ts"])
def test_a_damaged_part_is_told_by_frame_and_time_and_not_of_use(
    talk: Path, folder: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """A twentieth of the file's bytes, in its middle, are zero; a key frame every second."""
    video = folder / name
    flags = ("-c:v", "libx264", "-g", 25, "-movflags", "+faststart")
    ffmpeg("-i", talk, *(flags if name.endswith("mp4") else flags[:-2]), video)
    data = bytearray(video.read_bytes())
    middle, size = len(data) // 2, len(data) // 20
    data[middle : middle + size] = bytes(size)
    video.write_bytes(data)
    _, lines = verdict(capsys, video)
    runs = told(lines, "damaged in the file")
    assert all(120 < first <= last < 225 for first, last in runs)
    lost = sum(last + 1 - first for first, last in runs)
    (line,) = (line for line in lines if line.startswith("usable: "))
    usable, count = map(int, re.findall(r"(\d+) of (\d+) frames", line)[0])
    assert count - usable >= lost >= 10
    at = lines.index(
        next(line for line in lines if line.startswith("warning: the pic"))
    )
    assert "picture is damaged in frames " in lines[at]
    assert at < lines.index(line)


def test_no_face_and_silence_are_refused(
    talk: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nobody = folder / "nobody.mp4"
    picture = ["-f", "lavfi", "-i", "testsrc=180x180:r=25:d=10.2"]
    ffmpeg(*picture, "-i", talk, "-map", "0:v", "-map", "1:a", "-t", 10.2, nobody)
    code, lines = verdict(capsys, nobody)
    assert code == 3
    assert "no face in frames 0-254 (0.00-10.20 s)" in lines[-1]
    quiet = folder / "quiet.mp4"
    ffmpeg("-i", talk, "-af", "volume=0", "-c:v", "copy", quiet)
    code, lines = verdict(capsys, quiet)
    assert code == 3
    assert re.search(
        r"0\.0 s of speech, want 5 .*silent or nearly so.*frames 0-299", lines[-1]
    )
    assert not list(folder.glob("*.avatar*"))


def test_the_first_look_of_the_page_runs_as_it_stands(
    talk: Path, tmp_path: Path
) -> None:
    """docs/avatar-create.md 2: turned, of a varying rate, with frames of no use, and good enough."""
    turned = tmp_path / "turned.mov"
    blurred = "gblur=sigma=5:enable='between(n,40,59)'"
    gone = "drawbox=0:0:640:360:gray:fill:enable='between(n,100,119)'"
    some = "select='lt(n,200)+mod(n,2)'"
    turn = "transpose=cclock"
    flags = ("-fps_mode", "vfr", "-crf", 14, "-c:a", "copy")
    ffmpeg("-i", talk, "-vf", f"{blurred},{gone},{some},{turn}", *flags, turned)
    tag = ("-c", "copy", "-metadata:s:v", "rotate=270")
    ffmpeg("-i", turned, *tag, tmp_path / "anna.mov")
    section = page_commands.section_of("avatar-create.md", "2 Look first")
    (command,) = page_commands.commands_of(section)
    said = page_commands.run(command, tmp_path)
    page_commands.prints(said, page_commands.lines_of(section))
    assert "unusable, no face: frames 100-119 (4.00-4.80 s)\n" in said
    assert "unusable, blurred: frames 40-59 (1.60-2.40 s)\n" in said
    assert not (tmp_path / "avatars").exists() or not list(tmp_path.glob("avatars/*"))


@pytest.mark.parametrize(
    ("flags", "code", "said"),
    [
        (["--fast", "--size", "l"], 2, "--fast trains size s"),
        (["--audio-steps", "0"], 2, "--audio-steps 0: want 1"),
        (["--threads", "-1"], 2, "--threads -1: want 0"),
        (["--device", "cuda"], 5, "--device cuda: PyTorch finds no CUDA device"),
        (["--base", "/nowhere"], 3, "--base /nowhere: no avatar in it"),
        (["--name", "a/b"], 2, "want 1 to 200 bytes"),
    ],
)
def test_wrong_options_are_refused_before_any_work(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    flags: list[str],
    code: int,
    said: str,
) -> None:
    if flags == ["--device", "cuda"] and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    (tmp_path / "a.mp4").write_bytes(b"")
    got, lines = verdict(capsys, tmp_path / "a.mp4", *flags)
    assert got == code
    assert said in lines[0]
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.parametrize("flags", [["--check"], [], ["--work", "good"]])
@pytest.mark.parametrize(
    ("place", "why"),
    [("/proc", "No such file"), ("/dev/null", "Not a directory|File exists")],
)
def test_a_place_where_nothing_can_be_made_is_told_before_the_video_is_read(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    flags: list[str],
    place: str,
    why: str,
) -> None:
    video = tmp_path / "a.mp4"
    video.write_bytes(b"no video")  # so that reading it would be another refusal
    words = [str(tmp_path / word) if word == "good" else word for word in flags]
    assert main(["create", str(video), "-o", f"{place}/x", *words]) == 4
    said = capsys.readouterr().err
    assert re.fullmatch(
        rf"lipcast: {place}/x(\.work)?: no folder can be made in {place}: ({why}).*\n",
        said,
    )
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.parametrize("place", ["device", "folder"])
def test_what_is_no_file_is_called_what_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    source = Path("/dev/zero") if place == "device" else tmp_path
    assert main(["create", str(source), "-o", str(tmp_path / "a"), "--check"]) == 3
    what = "a device or a pipe, no file" if place == "device" else "a folder"
    said = capsys.readouterr().err
    assert said == f"lipcast: {source}: {what}, want a video\n"
