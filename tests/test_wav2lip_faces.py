"""`lipcast avatar import` of a Wav2Lip network where nobody says where the face is. The person is the demo avatar."""

from __future__ import annotations

import json
import shutil
import sys
import wave
from pathlib import Path

import cv2
import lab
import numpy as np
import pytest
from lipcast_studio.__main__ import main
from markers import models
from test_paths_and_errors import NAMES

DEMO = lab.ROOT / "avatars/demo"
FRAMES = 60
HIDDEN = range(20, 30)  # of the session's video, see talking_demo


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("faces")


@pytest.fixture(scope="module")
def network(folder: Path) -> Path:
    """Random weights that draw something other than the face."""
    model = models.generator("random", inner_px=96, sound=(1, 80, 16))
    (folder / "twin.onnx").write_bytes(model.SerializeToString())
    return folder / "twin.onnx"


@pytest.fixture(scope="module")
def picture(folder: Path) -> Path:
    """One frame of the demo, 640x360."""
    frame = cv2.imread(str(DEMO / "preview.jpg"))
    small = cv2.resize(frame, (640, 360), interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(folder / "face.png"), small)
    return folder / "face.png"


def imported(capsys: pytest.CaptureFixture[str], *flags: object) -> tuple[int, str]:
    """Exit code and what was said, in this process."""
    capsys.readouterr()
    code = main(["import", *map(str, flags)])
    return code, capsys.readouterr().err


def boxes_of(avatar: Path) -> list:
    return json.loads((avatar / "boxes.json").read_text())["boxes"]


@pytest.fixture(scope="module")
def anna(network: Path, talking_demo: Path, folder: Path) -> Path:
    """By the one command."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIPCAST_PYTHON", sys.executable)
        out = folder / "anna"
        run = lab.lipcast(
            "avatar", "import", network, "--video", talking_demo, "-o", out
        )
    line = "10 frames stay untouched: 20-29, 1.33-2.00 s (no face)\n"
    assert line in run.stderr
    assert "boxes: found, pads 0,10,0,0" in run.stderr
    return out


def test_a_face_is_found_and_followed_and_frames_without_one_pass_untouched(
    anna: Path, talking_demo: Path, folder: Path
) -> None:
    """Case 62: ten frames without a face end nothing; they are named with their times."""
    boxes = boxes_of(anna)
    assert [i for i, box in enumerate(boxes) if box is None] == [*HIDDEN]
    painted = json.loads((DEMO / "boxes.json").read_text())["boxes"]
    for i, box in enumerate(boxes):
        if box is not None:
            x0, y0, x1, y1 = (v / 2 for v in painted[i * 25 // 15])  # lids to chin
            assert abs((box[0] + box[2]) / 2 - (x0 + x1) / 2) < 6, i
            assert box[1] < y0 - 20 and y1 - 35 < box[3] < y1 + 5, i
            assert 0.6 < (box[2] - box[0]) / (box[3] - box[1]) < 0.9, i
    known = [box for box in boxes[: HIDDEN[0]] if box]
    assert np.abs(np.diff(known, axis=0)).max() <= 3  # nothing jumps
    wav = lab.write_wav(folder / "hush.wav", np.zeros(16000 * 4, np.float32))
    sources = lab.pictures(anna, wav)
    drawn = lab.pictures(anna, talking_demo, "--idle", "model")
    same = [bool((a == b).all()) for a, b in zip(drawn, sources, strict=True)]
    assert same == [i in HIDDEN for i in range(FRAMES)]


def test_the_videos_own_speech_is_in_the_package_and_bench_says_it(
    anna: Path, tmp_path: Path
) -> None:
    """16 kHz mono; without it bench would take the demo's."""
    with wave.open(str(anna / "speech.wav")) as file:
        assert (file.getframerate(), file.getnchannels()) == (16000, 1)
        assert 3 <= file.getnframes() / 16000 <= 4.1
    lab.lipcast("inspect", anna, "--json")
    bench = ("bench", "--frames", 2, "--encoder", "none", "--avatar")
    lab.lipcast(*bench, anna)
    shutil.copytree(anna, tmp_path / "mute")
    (tmp_path / "mute/speech.wav").write_bytes(b"no sound")
    lab.refused(lab.lipcast(*bench, tmp_path / "mute", ok=False), "mute/speech.wav")


def test_a_picture_is_enough_and_pads_are_pixels_around_the_face(
    network: Path, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Case 61: pad 0 and 10, in the manifest's boxes."""
    jpeg = tmp_path / "face.jpeg"
    cv2.imwrite(str(jpeg), cv2.imread(str(picture)))
    found = {}
    for name, source, flags in (
        ("default", picture, ()),
        ("none", picture, ("--pads", "0,0,0,0")),
        ("all", jpeg, ("--pads=3,20,-4,1000",)),
    ):
        words = (network, "--video", source, *flags, "-o", tmp_path / name)
        code, said = imported(capsys, *words)
        assert code == 0, said
        (found[name],) = boxes_of(tmp_path / name)
    x0, y0, x1, y1 = found["none"]
    assert found["default"] == [x0, y0, x1, y1 + 10]
    want = np.array([x0 + 4, y0 - 3, 640, y1 + 20])  # inside the picture
    assert np.abs(np.array(found["all"]) - want).max() <= 2  # JPEG moves points
    assert not (tmp_path / "default/speech.wav").exists()


def test_no_face_and_several_are_one_line_and_nothing_is_left(
    network: Path, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    face = cv2.imread(str(picture))
    crowd = np.concatenate([face[:, 160:480], face[:, 160:480]], axis=1)
    for name, image, reason in (
        ("two.png", crowd, "several faces"),
        ("nobody.png", np.full_like(face, 90), "no face"),
        ("cut.png", face[:, 305:], "face cut off"),
    ):
        cv2.imwrite(str(tmp_path / name), image)
        out = tmp_path / "o/a"
        words = (network, "--video", tmp_path / name, "-o", out)
        code, said = imported(capsys, *words)
        assert code == 3, said
        last = said.splitlines()[-1]
        told = f"{name}: {reason} in the picture, want one face: --box X,Y,W,H"
        assert last.startswith("lipcast: ") and told in last, last
        assert not list((tmp_path / "o").iterdir())


def test_a_second_way_to_say_where_the_face_is_is_refused(
    network: Path, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    box = ("--box", "9,9,99,99")
    for flags, said in (
        ((*box, "--pads", "0,0,0,0"), "--box with --pads: want one of them"),
        ((*box, "--boxes", "b.json"), "--box with --boxes: want one of them"),
        (("--pads", "1,2"), "--pads '1,2': want TOP,BOTTOM,LEFT,RIGHT"),
        (("--pads=0,0,0,9999",), "want -1000..1000 pixels"),
    ):
        words = (network, "--video", picture, *flags, "-o", tmp_path / "a")
        code, err = imported(capsys, *words)
        assert code == 2
        assert said in err
    words = (tmp_path, "--pads", "0,0,0,0", "-o", tmp_path / "a")
    code, err = imported(capsys, *words)
    assert code == 2
    assert "--pads goes with Wav2Lip's" in err
    assert not list(tmp_path.iterdir())


def test_without_the_face_models_the_line_says_how_to_do(
    network: Path, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Python without mediapipe: exit 5, and a box given by hand still works."""
    import importlib.util

    real = importlib.util.find_spec

    def find_spec(name: str, *rest: object) -> object:
        return None if name == "mediapipe" else real(name, *rest)

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    words = (network, "--video", picture, "-o", tmp_path / "a")
    code, said = imported(capsys, *words)
    assert code == 5
    assert "mediapipe is missing" in said and "pip install --no-deps mediapipe" in said
    code, said = imported(capsys, *words, "--box", "200,80,200,220")
    assert code == 0, said


@pytest.mark.parametrize("name", sorted(NAMES))
def test_any_utf8_name_of_video_and_avatar_is_taken(
    name: str, network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Case 72: Cyrillic, emoji, space, 200 characters, trailing dot, quotes, a line feed."""
    folder = tmp_path / NAMES[name]
    folder.mkdir()
    video = folder / f"{NAMES[name][:60]}.mp4"
    picture = "testsrc2=64x64:r=10:d=0.3"
    lab.ffmpeg("-f", "lavfi", "-i", picture, f"file:{tmp_path}/a.mp4")
    (tmp_path / "a.mp4").rename(video)
    out = folder / f"{NAMES[name][:60]}"
    box = ("--box", "2,2,60,60", "--name", "anna")
    code, said = imported(capsys, network, "--video", video, *box, "-o", out)
    assert code == 0, said
    assert lab.lipcast("inspect", out, "--json").report["frames"] == 3


def test_a_text_that_no_avatar_may_have_is_refused_before_any_work(
    network: Path, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The loader would refuse it, after hours of training."""
    for flags, said in (
        (("--name", "a/b"), "--name 'a/b': want 1 to 200 bytes"),
        (("--name", "a\nb"), "--name 'a\\nb': want 1 to 200 bytes of UTF-8"),
        (("--name", "\udcff"), "--name '\\udcff': want 1 to 200 bytes of UTF-8"),
        (("--licence", "x" * 1001), "want up to 1000 bytes"),
        (("--licence", "CC0\x7f"), "--licence 'CC0\\x7f': want up to 1000"),
    ):
        for words in (
            ("import", network, "--video", picture),
            ("import", tmp_path),
            ("create", picture),
        ):
            capsys.readouterr()
            code = main([*map(str, (*words, *flags, "-o", tmp_path / "o/a"))])
            err = capsys.readouterr().err
            assert (code, len(err.splitlines())) == (2, 1), err
            assert said in err, err
    assert not list(tmp_path.iterdir())
