"""Paths, overwriting, one-line errors, signals. Cases 72, 73; house style section 3."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
import zipfile
from pathlib import Path

import lab
import numpy as np
import pytest
from markers import avatars

RAW = ("-", lab.PIXELS, "bgr")
NAMES = {
    "cyrillic": "Ответ на вопрос",
    "emoji": "face 🙂👄 talk",
    "space": "  two  spaces ",
    "two hundred characters": "x" * 200,
    "trailing dot": "name.",
    "quotes": 'it\'s "quoted" & $HOME `ls` %06d',
    "newline": "one\nline",
}


@pytest.fixture
def second(tmp_path: Path) -> Path:
    """25 frames of speech-like sound."""
    return lab.write_wav(tmp_path / "second.wav", lab.speech_like(1))


@pytest.mark.parametrize("name", sorted(NAMES))
def test_any_utf8_path_works_for_avatar_sound_and_output(
    name: str, tiny: Path, second: Path, tmp_path: Path
) -> None:
    """Case 72: Cyrillic, emoji, space, 200 characters, trailing dot."""
    folder = tmp_path / NAMES[name]
    folder.mkdir()
    face, wav = folder / "avatar", folder / (NAMES[name][:60] + ".wav")
    shutil.copytree(tiny, face)
    shutil.copy(second, wav)
    for ending in ("mp4", "mkv"):
        out = folder / f"{NAMES[name][:60]}.{ending}"
        assert lab.report(face, wav, out)["frames"] == 25
        assert out.stat().st_size > 500
    if "%" not in NAMES[name]:
        lab.render(face, wav, folder / "frames/%06d.png")
        assert len(list((folder / "frames").iterdir())) == 25
    # And a wrong file there is still one line.
    wav.write_bytes(b"not sound")
    lab.refused(lab.render(face, wav, folder / "x.mp4", ok=False))


def test_relative_paths_are_those_of_the_working_folder(
    tiny: Path, second: Path, tmp_path: Path
) -> None:
    """Case 72: nothing is resolved against another place."""
    shutil.copytree(tiny, tmp_path / "face")
    lab.render("./face", "second.wav", "out.mp4", cwd=tmp_path)
    assert (tmp_path / "out.mp4").exists()
    # A bare word is a name, never a folder that happens to lie here; the line says what to write.
    run = lab.render("face", "second.wav", "b.mp4", ok=False, cwd=tmp_path)
    lab.refused(run, "'face'", r"\./face")


def test_a_zip_is_the_same_avatar(tiny: Path, second: Path, tmp_path: Path) -> None:
    """Design: a folder, or the same as one .zip file."""
    path = tmp_path / "face.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(tiny.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(tiny))
    assert lab.hashes(path, second) == lab.hashes(tiny, second)
    path.write_bytes(path.read_bytes()[:-200])
    lab.refused(lab.render(path, second, *RAW, ok=False), r"face\.zip")


@pytest.mark.parametrize("what", ["missing", "file", "empty folder", "no such name"])
def test_a_wrong_avatar_path_is_shown_as_it_was_given(
    what: str, second: Path, tmp_path: Path
) -> None:
    """Case 73: file as folder, folder as file, a name nobody has."""
    path: object = tmp_path / "face_path"
    if what == "file":
        Path(str(path)).write_text("x")
    if what == "empty folder":
        Path(str(path)).mkdir()
    if what == "no such name":
        path = "nobody_by_this_name"
    shown = "nobody_by_this_name" if what == "no such name" else "face_path"
    lab.refused(lab.render(path, second, *RAW, ok=False), shown)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "escape", ["../outside.onnx", "/etc/passwd", "a/../../outside.onnx"]
)
def test_a_manifest_that_points_outside_its_package_is_refused(
    escape: str, second: Path, tmp_path: Path
) -> None:
    """Case 73: path outside the root."""
    face = avatars.make_avatar(
        tmp_path / "a", frames=2, size=(64, 64), inner=16, border=2
    )
    shutil.copy(face / "generator.onnx", tmp_path / "outside.onnx")

    def edit(manifest: dict) -> None:
        manifest["files"][escape] = manifest["files"].pop("generator.onnx")
        manifest["generator"]["model"] = escape

    avatars.reseal(face, edit)
    lab.refused(lab.render(face, second, *RAW, ok=False), "generator.model|files|path")


def test_a_symbolic_link_out_of_the_package_is_refused(
    second: Path, tmp_path: Path
) -> None:
    """Case 73: symlink out."""
    face = avatars.make_avatar(
        tmp_path / "a", frames=2, size=(64, 64), inner=16, border=2
    )
    (face / "generator.onnx").rename(tmp_path / "outside.onnx")
    (face / "generator.onnx").symlink_to(tmp_path / "outside.onnx")
    lab.refused(lab.render(face, second, *RAW, ok=False), r"generator\.onnx")


MANIFEST_FAULTS = {
    "unknown key": lambda m: m.update(colour="blue"),
    "missing key": lambda m: m.pop("width"),
    "wrong type": lambda m: m.update(width="320"),
    "later schema": lambda m: m.update(schema_version=2),
    "no frames": lambda m: m.update(frame_count=0),
    "too many frames": lambda m: m.update(frame_count=3),
    "another size": lambda m: m.update(width=66),
    "unknown order": lambda m: m.update(order="random"),
    "idle outside": lambda m: m.update(idle={"first": 1, "count": 5}),
    "mask outside": lambda m: m["generator"]["mask"].update(x=10),
    "unknown family": lambda m: m["generator"].update(family="other"),
    "inner too large": lambda m: m["generator"].update(inner_px=4096),
}


@pytest.mark.parametrize("fault", sorted(MANIFEST_FAULTS))
def test_a_wrong_field_of_the_manifest_is_named(
    fault: str, second: Path, tmp_path: Path
) -> None:
    """Design: an error names the file, field, value and limit."""
    face = avatars.make_avatar(
        tmp_path / "a", frames=2, size=(64, 64), inner=16, border=2
    )
    avatars.reseal(face, MANIFEST_FAULTS[fault])
    run = lab.render(face, second, *RAW, ok=False)
    field = {
        "unknown key": "colour",
        "missing key": "width",
        "wrong type": "width",
        "later schema": "schema_version",
        "no frames": "frame_count",
        "too many frames": "frame|boxes",
        "another size": "66x64|width|size|boxes",
        "unknown order": "order",
        "idle outside": "idle",
        "mask outside": "mask",
        "unknown family": "family",
        "inner too large": "inner_px",
    }[fault]
    lab.refused(run, field)


def test_a_manifest_that_is_not_json_or_missing_pictures_is_named(
    second: Path, tmp_path: Path
) -> None:
    """Design: everything is checked at load."""
    face = avatars.make_avatar(
        tmp_path / "a", frames=3, size=(64, 64), inner=16, border=2
    )
    (face / "frames/000001.png").unlink()
    lab.refused(lab.render(face, second, *RAW, ok=False), r"000001\.png")
    (face / "avatar.json").write_text('{"format": "lipcast-avatar", ')
    lab.refused(lab.render(face, second, *RAW, ok=False), r"avatar\.json")


def test_a_picture_of_another_size_is_refused_by_its_name(
    second: Path, tmp_path: Path
) -> None:
    """Design: shapes are checked; nothing of it stays under the final name."""
    face = avatars.make_avatar(
        tmp_path / "a", frames=3, size=(64, 64), inner=16, border=2
    )
    shutil.copy(
        avatars.make_avatar(tmp_path / "b", frames=1, size=(66, 64), inner=16, border=2)
        / "frames/000000.png",
        face / "frames/000001.png",
    )
    out = tmp_path / "out.mp4"
    lab.refused(lab.render(face, second, out, ok=False), "66x64", "64x64")
    assert not out.exists()


# Outputs --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "out.y4m", "f/%06d.png"])
def test_an_existing_output_is_kept_unless_overwriting_is_asked(
    name: str, tiny: Path, second: Path, tmp_path: Path
) -> None:
    """--overwrite: without it the old file stays, byte for byte."""
    target = tmp_path / name
    first = target.parent / "000000.png" if "%" in name else target
    first.parent.mkdir(exist_ok=True)
    first.write_bytes(b"precious")
    lab.refused(lab.render(tiny, second, target, ok=False), "exist")
    assert first.read_bytes() == b"precious"
    for flags in (("--frame-hashes", first), ("--dump", f"mel={first}")):
        run = lab.render(tiny, second, *RAW, *flags, ok=False)
        lab.refused(run, "exist", "--overwrite")
        assert first.read_bytes() == b"precious"
    lab.render(tiny, second, target, "--overwrite")
    assert first.read_bytes() != b"precious"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no/such/folder/out.mp4", "no/such/folder|no such"),
        ("out.avi", r"out\.avi"),
        ("out", "out"),
        ("f/%s.png", "%"),
        (".", "."),
    ],
)
def test_an_output_that_cannot_be_is_refused(
    name: str, said: str, tiny: Path, second: Path, tmp_path: Path
) -> None:
    """Before the work and with what is possible."""
    before = sorted(p.name for p in tmp_path.iterdir())
    lab.refused(lab.render(tiny, second, tmp_path / name, ok=False), said)
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_standard_output_gets_y4m_unless_another_layout_is_asked(
    tiny: Path, second: Path
) -> None:
    """As the help says."""
    plain = lab.render(tiny, second, "-").stdout
    assert plain.startswith(b"YUV4MPEG2 W64 H64 F25:1")
    assert plain == lab.render(tiny, second, "-", lab.PIXELS, "y4m").stdout


def test_a_full_disk_is_an_error_of_the_output(tiny: Path, second: Path) -> None:
    """/dev/full takes nothing."""
    run = lab.render(tiny, second, "/dev/full", lab.PIXELS, "bgr", ok=False)
    lab.refused(run, "full|space")
    assert run.code == 4
    run = lab.render(tiny, second, *RAW, "--frame-hashes", "/dev/full", ok=False)
    lab.refused(run, "/dev/full")
    assert run.code == 4


def test_a_reader_that_goes_away_ends_the_run_at_once(
    tiny: Path, tmp_path: Path
) -> None:
    """A closed pipe is no crash, and the rest is not rendered for nobody."""
    wav = lab.write_wav(tmp_path / "a.wav", np.tile(lab.speech_like(10), 30))
    command = [str(lab.BINARY), "render", "--avatar", str(tiny), str(wav), "-o", "-"]
    process = subprocess.Popen(
        [*command, lab.PIXELS, "bgr"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert len(process.stdout.read(64 * 64 * 3)) == 64 * 64 * 3
    process.stdout.close()
    error = process.stderr.read().decode()
    code = process.wait(timeout=60)
    assert 0 < code < 131, error
    assert len([line for line in error.splitlines() if line.strip()]) <= 1


def test_no_arguments_and_help_and_version() -> None:
    """Usage errors are one line and exit code 2; help is no error."""
    for arguments, said in (
        ((), "no command"),
        (("nonsense",), "'nonsense'"),
        (("--nonsense",), "--nonsense"),
        (("render",), "audio"),
        (("render", "a.wav", "--nonsense"), "--nonsense"),
    ):
        run = lab.lipcast(*arguments, ok=False)
        lab.refused(run, said, "--help")
        assert run.code == 2
    for flags in (
        ("--help",),
        ("render", "--help"),
        ("inspect", "--help"),
        ("--version",),
    ):
        assert lab.lipcast(*flags).stdout


def test_exit_codes_tell_what_was_wrong(
    tiny: Path, second: Path, tmp_path: Path
) -> None:
    """Documented: 2 option, 3 input, 4 output."""
    (tmp_path / "there.mp4").write_bytes(b"x")
    usage = (("--fps", 0), ("--size", "1"), ("--batch", 99), ("--dump", "mel"))
    for flags in usage:
        assert lab.render(tiny, second, *RAW, *flags, ok=False).code == 2, flags
    for flags in (("--crf", 99), ("--quality", 0)):
        run = lab.render(tiny, second, tmp_path / "new.mp4", *flags, ok=False)
        assert run.code == 2, flags
    assert lab.render(tiny, tmp_path / "none.wav", *RAW, ok=False).code == 3
    assert lab.render(tmp_path / "none", second, *RAW, ok=False).code == 3
    assert lab.render(tiny, second, tmp_path / "there.mp4", ok=False).code == 4


# Signals --------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
@pytest.mark.parametrize(
    "numbers",
    [
        (signal.SIGINT,),
        (signal.SIGTERM,),
        (signal.SIGINT,) * 2,
        (signal.SIGTERM, signal.SIGINT),
    ],
)
def test_an_interrupt_leaves_a_playable_file(
    ending: str, numbers: tuple[signal.Signals, ...], tiny: Path, tmp_path: Path
) -> None:
    """Design: SIGINT finishes the file properly. The signal comes after 100 frames were made; `timeout`
    sends it twice, to the process and to its group."""
    wav = lab.write_wav(tmp_path / "a.wav", np.tile(lab.speech_like(30), 60))
    out, pipe = tmp_path / f"out.{ending}", tmp_path / "hashes"
    os.mkfifo(pipe)
    command = [
        str(lab.BINARY),
        "render",
        "--avatar",
        str(tiny),
        str(wav),
        "-o",
        str(out),
    ]
    process = subprocess.Popen(
        [*command, "--frame-hashes", str(pipe)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with pipe.open("rb") as lines:
        seen = sum(1 for _, line in zip(range(100), lines, strict=False))
        assert seen == 100
        for number in numbers:
            process.send_signal(number)
        seen += sum(1 for _ in lines)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130, error.decode()
    stream = lab.probe(out)
    frames = int(stream["nb_read_packets"])
    assert frames == seen
    assert 100 <= frames < 45000
    assert len(lab.decode(out)) == frames
    _, sound_end = lab.last_pts_s(out, "a")
    assert abs(sound_end - frames / 25) < 0.1
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        ["a.wav", out.name, "hashes"]
    )


def test_an_interrupt_while_standard_input_is_open_ends_the_run(
    tiny: Path, tmp_path: Path
) -> None:
    """A live source that never closes does not hold the process."""
    out, pipe = tmp_path / "out.mkv", tmp_path / "hashes"
    os.mkfifo(pipe)
    flags = ["--rate", "16000", "--channels", "1", lab.SAMPLES, "s16"]
    command = [
        str(lab.BINARY),
        "render",
        "--avatar",
        str(tiny),
        "-",
        "-o",
        str(out),
        *flags,
    ]
    process = subprocess.Popen(
        [*command, "--frame-hashes", str(pipe)],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    sound = lab.pcm16(np.tile(lab.speech_like(10), 6))
    writer = threading.Thread(
        target=lab.feed, args=(process, [sound]), kwargs={"close": False}
    )
    writer.start()
    with pipe.open("rb") as lines:
        assert sum(1 for _ in zip(range(100), lines, strict=False)) == 100
        process.send_signal(signal.SIGINT)
        for _ in lines:
            pass
    assert process.wait(timeout=30) == 130
    writer.join()
    assert process.stdin is not None
    process.stdin.close()
    assert len(lab.decode(out)) >= 100


# Reports --------------------------------------------------------------------------------------


def test_json_is_one_object_with_what_was_agreed(
    tiny: Path, second: Path, tmp_path: Path
) -> None:
    """A program may read it; nothing else stands on standard output."""
    out = tmp_path / "o.mp4"
    report = lab.report(tiny, second, out)
    assert report["frames"] == 25
    assert lab.rate(report["fps"]) == 25
    assert report["duration_s"] == pytest.approx(1.0)
    assert report["output"] == str(out)
    assert report["provider"].lower() == "cpu"
    stages = report["stages_ms_per_frame"]
    for stage in (
        "stft",
        "filterbank",
        "log",
        "normalise",
        "windows",
        "audio_encoder",
        "generator",
        "pack",
        "unpack",
        "resize",
        "paste",
        "encode",
    ):
        assert stages[stage] >= 0, stage
    assert stages["generator"] > 0
    assert stages["encode"] > 0


def test_inspect_tells_an_avatar_and_draws_it(m2: Path, tmp_path: Path) -> None:
    """What stands in the manifest, and a picture with the box and mask."""
    text = lab.lipcast("inspect", m2, "-o", tmp_path / "p.png").stdout.decode()
    for part in ("m2", "320", "240", "25", "synctalk"):
        assert part in text
    assert (tmp_path / "p.png").read_bytes()[:4] == b"\x89PNG"
    told = json.loads(lab.lipcast("inspect", m2, "--json").stdout)
    assert json.dumps(told).count("50") >= 1


def test_inspect_tells_a_sound(second: Path, tmp_path: Path) -> None:
    """Rate, channels, length, and a picture of its mel frames."""
    told = json.loads(
        lab.lipcast("inspect", second, "--json", "-o", tmp_path / "m.png").stdout
    )
    assert 16000 in told.values()
    assert (tmp_path / "m.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize("data", [b"", b"nothing of the kind\n" * 50])
def test_inspect_refuses_what_it_does_not_know(data: bytes, tmp_path: Path) -> None:
    """One line with the path."""
    path = tmp_path / "thing.bin"
    path.write_bytes(data)
    lab.refused(lab.lipcast("inspect", path, ok=False), r"thing\.bin")


def test_doctor_says_what_there_is() -> None:
    """Provider, encoder, libraries; as text and as one JSON object."""
    told = json.dumps(json.loads(lab.lipcast("doctor", "--json").stdout)).lower()
    for word in ("onnx", "cpu"):
        assert word in told
    assert "264" in told
    assert lab.lipcast("doctor").stdout


@pytest.mark.parametrize("encoder", ["none", "jpeg", "h264"])
def test_bench_reports_its_stages(encoder: str, tiny: Path) -> None:
    """500 frames: frames/s and the time of every stage of the line."""
    flags = ("--frames", 500, "--encoder", encoder, "--json", "--avatar", tiny)
    told = json.loads(lab.lipcast("bench", *flags).stdout)
    assert told["frames"] == 500
    assert told["fps"] == pytest.approx(500 / told["wall_s"])
    stages = told["stages_ms_per_frame"]
    used = ["stft", "filterbank", "log", "normalise", "windows", "audio_encoder"]
    used += ["generator", "pack", "unpack", "resize", "paste"]
    used += [] if encoder == "none" else ["encode"]
    assert all(stages[stage] > 0 for stage in used), stages
