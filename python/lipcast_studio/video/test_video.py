"""Recordings of every kind become upright 25 frames/s with their sound, or are refused by name and reason."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from lipcast_studio.errors import EXIT_INPUT, EXIT_OUTPUT, StudioError
from lipcast_studio.video.ffmpeg import FrameWriter, read_frames
from lipcast_studio.video.normalise import Recording, count_frames, normalise, read_sound
from lipcast_studio.video.probe import probe

TONE = ["-f", "lavfi", "-i", "sine=440:sample_rate=48000"]


def made(path: Path, *picture: str, seconds: float = 2.0, sound: bool = True) -> Path:
    """A file of one lavfi picture and a tone."""
    command = ["ffmpeg", "-y", "-v", "error", "-f", "lavfi", "-i", picture[0], *(TONE if sound else ()), "-t", str(seconds)]
    subprocess.run([*command, *picture[1:], str(path)], check=True)
    return path


def frames(recording: Recording) -> np.ndarray:
    return np.stack([f.copy() for f in read_frames(recording.video, recording.width, recording.height)])


def refused(path: Path, tmp_path: Path, said: str, shortest_s: float = 1.0) -> None:
    with pytest.raises(StudioError, match=said) as caught:
        recording = normalise(path, tmp_path / "out.mp4", shortest_s=shortest_s)
        read_sound(path, recording.frames)
    assert caught.value.code == EXIT_INPUT
    assert str(caught.value).startswith(f"{path}: ")
    assert not (tmp_path / "out.mp4").exists()


QUARTERS = "color=red:160x96:r=25,drawbox=0:0:80:96:blue:fill"  # blue left, red right


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_rotation_tag_turns_the_picture_upright(tmp_path: Path, degrees: int) -> None:
    stored = made(tmp_path / "stored.mp4", QUARTERS)
    tagged = tmp_path / "tagged.mp4"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-i", stored, "-c", "copy", "-metadata:s:v", f"rotate={degrees}", tagged], check=True
    )
    made_of = normalise(tagged, tmp_path / "out.mp4", shortest_s=1)
    assert (made_of.width, made_of.height) == ((160, 96) if degrees == 180 else (96, 160))
    assert any("upright by its rotation tag" in note for note in made_of.notes)
    picture = frames(made_of)[10]
    row, column = {90: (140, 48), 180: (48, 140), 270: (20, 48)}[degrees]  # where the left side went, turned to the left
    blue, _, red = picture[row, column]
    assert blue > 200
    assert red < 60


def test_a_variable_rate_is_resampled_by_time(tmp_path: Path) -> None:
    flash = "color=black:160x96:r=60,drawbox=0:0:160:96:white:fill:enable='between(t,3,3.2)'"
    path = made(tmp_path / "vfr.mp4", flash, "-vf", "select='lt(n,120)+not(mod(n,4))'", "-vsync", "vfr", seconds=4)
    made_of = normalise(path, tmp_path / "out.mp4", shortest_s=1)
    assert any(note.startswith("variable frame rate") for note in made_of.notes)
    assert abs(made_of.frames - 100) <= 1
    bright = np.flatnonzero(frames(made_of).mean((1, 2, 3)) > 128)
    assert abs(bright[0] - 75) <= 1
    assert 5 <= len(bright) <= 7  # the last of them stood until the next


@pytest.mark.parametrize(
    ("rate", "said"), [("12", "warning: 12 frames a second miss"), ("30000/1001", "29.97 frames"), ("50", "50 fr")]
)
def test_any_rate_becomes_25_and_says_so(tmp_path: Path, rate: str, said: str) -> None:
    path = made(tmp_path / "a.mp4", f"testsrc=160x96:r={rate}", seconds=4)
    made_of = normalise(path, tmp_path / "out.mp4", shortest_s=1)
    assert abs(made_of.frames - 100) <= 2
    assert any(said in note for note in made_of.notes), made_of.notes


def test_sound_begins_with_the_picture_and_lasts_as_long(tmp_path: Path) -> None:
    path = tmp_path / "late.mkv"
    picture = ["-f", "lavfi", "-i", "color=gray:160x96:r=25:d=4"]
    sound = ["-itsoffset", "1", "-f", "lavfi", "-i", "sine=440:sample_rate=44100:d=2"]
    subprocess.run(["ffmpeg", "-v", "error", *picture, *sound, "-ac", "2", str(path)], check=True)
    wave = read_sound(path, 100)
    assert len(wave) == 64_000
    loud = np.flatnonzero(np.abs(wave) > 0.02)
    assert loud[0] == pytest.approx(16_000, abs=640)
    assert loud[-1] == pytest.approx(48_000, abs=640)


def test_a_picture_of_8k_is_scaled_and_an_odd_one_made_even(tmp_path: Path) -> None:
    path = made(tmp_path / "8k.mp4", "color=gray:7680x4320:r=10", "-c:v", "libx264", "-preset", "ultrafast", seconds=0.1)
    made_of = normalise(path, tmp_path / "out.mp4", shortest_s=0.05)
    assert (made_of.width, made_of.height) == (1920, 1080)
    assert "scaled from 7680x4320 to 1920x1080" in made_of.notes
    odd = made(tmp_path / "odd.mkv", "testsrc=161x97:r=25", "-c:v", "ffv1")
    made_of = normalise(odd, tmp_path / "odd.mp4", shortest_s=1)
    assert (made_of.width % 2, made_of.height % 2) == (0, 0)


def test_a_tail_that_is_cut_off_is_told_with_frames_and_times(tmp_path: Path) -> None:
    path = made(tmp_path / "whole.mp4", "testsrc2=320x192:r=25", "-movflags", "+faststart", seconds=8)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    made_of = normalise(path, tmp_path / "out.mp4", shortest_s=1)
    (note,) = (note for note in made_of.notes if "ends early" in note)
    assert 25 < made_of.frames < 175
    assert f"{made_of.frames / 25:.2f} of 8.00 s can be decoded (frames 0-{made_of.frames - 1})" in note
    assert count_frames(made_of.video) == made_of.frames
    (tmp_path / "sub").mkdir()
    refused(path, tmp_path / "sub", r"s of picture, want 7 s or more \(the picture ends early", 7)


def test_what_no_avatar_can_be_made_of_is_refused(tmp_path: Path) -> None:
    refused(tmp_path / "absent.mp4", tmp_path, "no such file")
    refused(tmp_path, tmp_path, "a folder, want a video")
    whole = made(tmp_path / "whole.mp4", "testsrc=160x96").read_bytes()
    for name, data, said in (
        ("empty.mp4", b"", "empty, want a video"),
        ("text.mp4", b"hello " * 100, "not a video that can be read, whatever its name says"),
        ("text.mkv", b"hello " * 100, "not a video that can be read: "),
        ("cut.mp4", whole[: len(whole) // 2], r"cut off: its index \(moov\), which stands at the end, is missing"),
    ):
        (tmp_path / name).write_bytes(data)
        refused(tmp_path / name, tmp_path, said)
    refused(made(tmp_path / "short.mp4", "testsrc=160x96", seconds=1), tmp_path, "1.0 s long, want 10 s or more", 10)
    refused(made(tmp_path / "mute.mp4", "testsrc=160x96", sound=False), tmp_path, "no audio track")
    refused(made(tmp_path / "tiny.mkv", "testsrc=32x32", "-c:v", "ffv1"), tmp_path, "32x32 pixels, want 64")
    subprocess.run(["ffmpeg", "-v", "error", *TONE, "-t", "2", str(tmp_path / "sound.m4a")], check=True)
    refused(tmp_path / "sound.m4a", tmp_path, "no video track")
    hdr = ["-c:v", "libx264", "-pix_fmt", "yuv420p10le", "-color_trc", "smpte2084", "-colorspace", "bt2020nc"]
    refused(made(tmp_path / "hdr.mp4", "testsrc=160x96", *hdr), tmp_path, r"HDR10 \(PQ\) colours, want SDR")


def test_a_name_that_looks_like_an_option_or_a_protocol_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("-i.mp4", "concat:a.mp4", "été \U0001f600.mp4"):
        made(tmp_path / "a.mp4", "testsrc=160x96").rename(tmp_path / name)
        assert normalise(Path(name), Path("out.mp4"), shortest_s=1).frames == 50
        assert probe(Path(name)).sounds == 1


def test_frames_written_come_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    shapes = [np.kron(rng.integers(0, 255, (6, 8, 3)), np.ones((16, 16, 1))).astype(np.uint8) for _ in range(30)]
    with FrameWriter(tmp_path / "a.mp4", 128, 96, crf=4) as writer:
        for shape in shapes:
            writer.write(shape)
    back = list(read_frames(tmp_path / "a.mp4", 128, 96, first=7, count=5))
    assert len(back) == 5
    inside = (slice(4, 12), slice(4, 12))  # of a block: its edges lose colour to 4:2:0
    for got, want in zip(back, shapes[7:12], strict=True):
        assert np.abs(got[inside].astype(int) - want[inside]).mean() < 4


def test_a_writer_that_cannot_write_says_where(tmp_path: Path) -> None:
    frame = np.zeros((96, 128, 3), np.uint8)
    with pytest.raises(StudioError, match="No such file"), FrameWriter(tmp_path / "no/a.mp4", 128, 96) as writer:
        for _ in range(200):
            writer.write(frame)


def test_a_decoder_that_is_ended_is_not_the_end_of_the_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "ffmpeg"
    fake.write_text("#!/bin/sh\nhead -c 1000 /dev/zero\nexit 255\n")
    fake.chmod(0o755)
    monkeypatch.setattr("lipcast_studio.video.ffmpeg.program", lambda name: str(fake))
    found = read_frames(tmp_path / "a.mp4", 10, 10)
    assert next(found).shape == (10, 10, 3)
    with pytest.raises(StudioError, match=r"a\.mp4: reading its frames ended early \(ffmpeg: 255\)"):
        list(found)


def test_a_recording_that_is_too_long_is_cut_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lipcast_studio.video.normalise.LONGEST_S", 90.0)
    path = made(tmp_path / "long.mp4", "color=gray:64x64:r=1", seconds=120)
    made_of = normalise(path, tmp_path / "out.mp4")
    assert made_of.frames == 90 * 25
    assert "the first 1.5 of 2.0 minutes are taken" in made_of.notes


def test_a_full_disk_is_not_taken_for_a_recording_that_ends_early(tmp_path: Path) -> None:
    path = made(tmp_path / "a.mp4", "testsrc2=640x360:r=25", seconds=4)
    (tmp_path / ".out.mp4.part").symlink_to("/dev/full")
    with pytest.raises(StudioError, match=r"out\.mp4: No space left on device") as caught:
        normalise(path, tmp_path / "out.mp4", shortest_s=1)
    assert caught.value.code == EXIT_OUTPUT
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


def damaged(path: Path, begins: float, ends: float, fill: bytes = b"\0") -> None:
    """Overwrites a share of the file's bytes."""
    data = bytearray(path.read_bytes())
    first, after = int(len(data) * begins), int(len(data) * ends)
    data[first:after] = (fill * (after - first))[: after - first]
    path.write_bytes(data)


def recorded(path: Path, *options: str) -> Path:
    """Eight moving seconds, a key frame a second."""
    moving = "testsrc2=320x192:r=25,noise=alls=20:allf=t"
    return made(path, moving, "-c:v", "libx264", "-g", "25", "-c:a", "aac", *options, seconds=8)


CONTAINERS = [("a.mp4", ["-movflags", "+faststart"]), ("a.ts", ["-f", "mpegts"]), ("a.mkv", [])]


@pytest.mark.parametrize(("name", "options"), CONTAINERS)
def test_every_frame_that_damage_changes_is_told_and_no_healthy_part(tmp_path: Path, name: str, options: list[str]) -> None:
    path = recorded(tmp_path / name, *options)
    whole = normalise(path, tmp_path / "whole.mp4", shortest_s=1)
    assert (whole.damaged, whole.notes) == ([], [])
    damaged(path, 0.5, 0.55)
    made_of = normalise(path, tmp_path / "out.mp4", shortest_s=1)
    assert made_of.frames == whole.frames
    pairs = zip(frames(whole).astype(np.int16), frames(made_of), strict=True)
    changed = np.array([np.abs(a - b).mean() > 4 for a, b in pairs])
    assert changed.any()
    hit = np.zeros(whole.frames, bool)
    for first, last in made_of.damaged:
        hit[first : last + 1] = True
    assert not (changed & ~hit).any()
    assert hit.sum() < 75  # to the next key frame or the one after it
    (first, last) = made_of.damaged[0]
    notes = [note for note in made_of.notes if note.startswith("warning: the picture is damaged in frames ")]
    assert len(notes) == 1
    assert f"-{last} (" in notes[0]
    assert f"-{(last + 1) / 25:.2f} s)" in notes[0]
    assert 75 < first < 125


def test_the_garbage_at_the_end_of_a_transport_stream_is_a_lost_end(tmp_path: Path) -> None:
    path = recorded(tmp_path / "a.ts", "-f", "mpegts")
    damaged(path, 0.88, 1, b"\x01\xfe\x3c")
    made_of = normalise(path, tmp_path / "out.mp4", shortest_s=1)
    (note,) = (note for note in made_of.notes if "the picture ends early" in note)
    told = re.search(r"early: (\S+) of (\S+) s can be decoded \(frames 0-(\d+)\): the last \d+ of \d+ bytes hold neither", note)
    assert told
    assert float(told[1]) == pytest.approx(made_of.frames / 25)
    assert float(told[2]) == pytest.approx(8, abs=0.5)
    assert int(told[3]) == made_of.frames - 1


@pytest.mark.parametrize(("name", "options"), [CONTAINERS[0], CONTAINERS[2]])
def test_garbage_at_the_end_of_a_file_that_tells_its_length_is_a_lost_end(tmp_path: Path, name: str, options: list[str]) -> None:
    path = recorded(tmp_path / name, *options)
    damaged(path, 0.88, 1, b"\x01\xfe\x3c")
    made_of = normalise(path, tmp_path / "out.mp4", shortest_s=1)
    (note,) = (note for note in made_of.notes if "the picture ends early" in note)
    told = re.search(r"early: (\S+) of 8\.\d\d s can be decoded \(frames 0-(\d+)\): ", note)
    assert told
    assert 6.5 < float(told[1]) < 7.7
    assert int(told[2]) == made_of.frames - 1
    assert made_of.damaged[-1][1] == made_of.frames - 1


@pytest.mark.parametrize("lost", ["sound", "picture"])
def test_a_sound_and_a_picture_that_end_apart_are_told(tmp_path: Path, lost: str) -> None:
    lengths = {"sound": ("4", "3"), "picture": ("3", "4")}[lost]
    picture = ["-f", "lavfi", "-i", f"testsrc2=160x96:r=25:d={lengths[0]}"]
    sound = ["-f", "lavfi", "-i", f"sine=440:sample_rate=48000:d={lengths[1]}"]
    path = tmp_path / "a.ts"
    subprocess.run(["ffmpeg", "-v", "error", *picture, *sound, "-c:a", "aac", "-c:v", "libx264", str(path)], check=True)
    made_of = normalise(path, tmp_path / "out.mp4", shortest_s=1)
    (note,) = made_of.notes
    assert note.startswith(f"warning: the {lost} ends early: ")
    if lost == "sound":
        ((first, last),) = made_of.damaged  # frames without their sound
        assert 74 <= first <= 80
        assert last == made_of.frames - 1
    else:
        assert made_of.damaged == []


@pytest.mark.parametrize("late", ["sound", "picture"])
def test_sound_and_picture_of_a_transport_stream_keep_their_distance(tmp_path: Path, late: str) -> None:
    """ffmpeg counts each of its streams from its own begin, where it is asked for one of them."""
    flash = "color=black:160x96:r=25:d=4,drawbox=0:0:160:96:white:fill:enable='between(t,2,2.2)'"
    beep = "aevalsrc='if(between(t,2,2.2),0.5*sin(2764*t),0)':s=48000:d=4"
    shift = ["-itsoffset", "0.52"]
    inputs = [*(shift if late == "picture" else []), "-f", "lavfi", "-i", flash]
    inputs += [*(shift if late == "sound" else []), "-f", "lavfi", "-i", beep]
    path = tmp_path / "a.ts"
    subprocess.run(["ffmpeg", "-v", "error", *inputs, "-c:v", "libx264", "-c:a", "aac", str(path)], check=True)
    made_of = normalise(path, tmp_path / "out.mp4", shortest_s=1)
    seen = np.flatnonzero(frames(made_of).mean((1, 2, 3)) > 128)[0] / 25
    heard = np.flatnonzero(np.abs(read_sound(path, made_of.frames)) > 0.1)[0] / 16_000
    assert seen - heard == pytest.approx(0.52 if late == "picture" else -0.52, abs=0.06)


def test_nothing_behind_a_jump_of_a_transport_streams_clock_is_of_use(tmp_path: Path) -> None:
    path = made(tmp_path / "a.ts", "testsrc2=160x96:r=25", "-g", "25", "-c:v", "libx264", "-c:a", "aac", seconds=40)
    damaged(path, 0.3, 0.7)
    made_of = normalise(path, tmp_path / "out.mp4", shortest_s=1)
    assert made_of.damaged[-1][1] == made_of.frames - 1
    assert 270 < made_of.damaged[0][0] < 330
    assert any("damaged in frames" in note for note in made_of.notes)


def test_a_transport_stream_that_begins_amid_pictures_loses_those_until_its_first_key_frame(tmp_path: Path) -> None:
    path = recorded(tmp_path / "a.ts", "-f", "mpegts")
    data = path.read_bytes()
    path.write_bytes(data[len(data) // 20 // 188 * 188 + 100 :])
    made_of = normalise(path, tmp_path / "out.mp4", shortest_s=1)
    assert 170 <= made_of.frames <= 200
    assert all(last < 25 for _, last in made_of.damaged)


def test_a_clock_that_jumps_ends_what_is_of_use(tmp_path: Path) -> None:
    """Two recordings, one after the other: ffmpeg joins each stream on its own, and the two may part."""
    path = recorded(tmp_path / "a.ts", "-f", "mpegts")
    later = recorded(tmp_path / "b.ts", "-f", "mpegts", "-output_ts_offset", "100")
    path.write_bytes(path.read_bytes() + later.read_bytes())
    made_of = normalise(path, tmp_path / "out.mp4", shortest_s=1)
    ((first, last),) = made_of.damaged
    assert 190 <= first <= 205
    assert last == made_of.frames - 1
    assert any("the clock jumps by 9" in note for note in made_of.notes)


def test_a_device_is_not_called_a_folder(tmp_path: Path) -> None:
    with pytest.raises(StudioError, match=r"^/dev/zero: a device or a pipe, no file, want a video$"):
        probe(Path("/dev/zero"))
