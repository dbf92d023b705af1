"""LiveTalking folders (full_imgs, face_imgs, coords.pkl) as a source of frames and boxes."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import lab
import numpy as np
import pytest
from lipcast_studio import pickled_boxes
from lipcast_studio.__main__ import main
from lipcast_studio.errors import StudioError
from lipcast_studio.livetalking_folder import read_livetalking
from lipcast_studio.pickled_boxes import read_pickled_numbers
from markers import avatars, models

FRAMES = 6
SIZE = (320, 240)


def box(i: int) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1."""
    return (60 + i, 40 + i, 200 + i, 210 + i)


def as_wav2lip(i: int) -> tuple:
    x0, y0, x1, y1 = box(i)
    return (y0, y1, x0, x1)


def as_ultralight(i: int) -> tuple:
    return tuple(np.int64(v) for v in box(i))


def make(folder: Path, rows: Callable[[int], tuple]) -> Path:
    """The folder as LiveTalking writes it; rows: the coordinates of a frame in its order."""
    for name in ("full_imgs", "face_imgs"):
        (folder / name).mkdir(parents=True)
    for i in range(FRAMES):
        picture = avatars.draw_frame(i, SIZE, box=box(i), textured=True)
        x0, y0, x1, y1 = box(i)
        cv2.imwrite(str(folder / f"full_imgs/{i:08d}.png"), picture)
        face = cv2.resize(picture[y0:y1, x0:x1], (96, 96))
        cv2.imwrite(str(folder / f"face_imgs/{i:08d}.png"), face)
    (folder / "coords.pkl").write_bytes(pickle.dumps([rows(i) for i in range(FRAMES)]))
    return folder


@pytest.mark.parametrize("rows", [as_wav2lip, as_ultralight])
def test_frames_and_boxes_are_read_in_either_order(
    rows: Callable[[int], tuple], tmp_path: Path
) -> None:
    """The faces beside them tell which order the numbers have."""
    pictures, boxes = read_livetalking(make(tmp_path / "аватар", rows))
    assert [p.name for p in pictures.paths] == [f"{i:08d}.png" for i in range(FRAMES)]
    assert (pictures.first, pictures.width, pictures.height) == (0, *SIZE)
    assert boxes.boxes == [box(i) for i in range(FRAMES)]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_numbers_of_every_protocol_are_read_as_pickle_reads_them(
    protocol: int, tmp_path: Path
) -> None:
    value = [(1, -2, 300, 70_000), [2**40, 0], (1, 2), (5,), ()]
    (tmp_path / "c.pkl").write_bytes(pickle.dumps(value, protocol))
    assert read_pickled_numbers(tmp_path / "c.pkl") == value


@pytest.mark.parametrize("kind", ["<i4", "<i8", ">i4", "u1", "<u2"])
def test_numpy_numbers_are_read(kind: str, tmp_path: Path) -> None:
    value = [(np.array(v, kind)[()], np.array(v + 1, kind)[()]) for v in (3, 200)]
    (tmp_path / "c.pkl").write_bytes(pickle.dumps(value, 4))
    assert read_pickled_numbers(tmp_path / "c.pkl") == [(3, 4), (200, 201)]


class Trap:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return (os.mkdir, (self.path,))


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_code_in_coords_is_named_by_its_byte_and_never_runs(
    protocol: int, tmp_path: Path
) -> None:
    path = tmp_path / "c.pkl"
    path.write_bytes(pickle.dumps([Trap(str(tmp_path / "ran"))], protocol))
    with pytest.raises(StudioError, match=r"c\.pkl: byte \d+: the name posix\.mkdir"):
        read_pickled_numbers(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("value", [[(1.5, 2)], {"a": 1}, {1, 2}, [np.zeros(4)]])
def test_anything_else_is_refused_with_its_byte(value: object, tmp_path: Path) -> None:
    path = tmp_path / "c.pkl"
    path.write_bytes(pickle.dumps(value, 4))
    with pytest.raises(StudioError, match=r"c\.pkl: byte \d+: "):
        read_pickled_numbers(path)


def memo_bomb() -> bytes:
    """Nine lists in each other, each sixteen times the one before: 16**9 in print."""
    inner: list = []
    for _ in range(9):
        inner = [inner] * 16
    return pickle.dumps([inner] * FRAMES, 4)


def long_of(size: int) -> bytes:
    """LONG4: an integer of so many bytes, as the first coordinate of every row."""
    number = pickle.LONG4 + size.to_bytes(4, "little") + b"\1" * size
    rows = pickle.MARK + number + b"K\1K\2K\3" + pickle.TUPLE + pickle.BINPUT + b"\0"
    return (
        pickle.EMPTY_LIST
        + pickle.MARK
        + rows
        + (pickle.BINGET + b"\0") * (FRAMES - 1)
        + pickle.APPENDS
        + pickle.STOP
    )


def wide_names() -> bytes:
    """STACK_GLOBAL of lists, whose print would have 10**10 elements."""
    many = pickle.MARK + b"K\1" * 10**5 + pickle.LIST + pickle.BINPUT + b"\0"
    held = pickle.MARK + (pickle.BINGET + b"\0") * 10**5 + pickle.LIST
    return many + held + many + pickle.STACK_GLOBAL + pickle.STOP


BOMBS = {
    "a memo bomb": (memo_bomb, "nested more than 3 deep"),
    "deep tuples": (lambda: b")" + b"\x85" * 100_000 + b".", "nested more than 3"),
    "20 MB": (lambda: long_of(20_000_000), "LONG4: an integer of 20000000 bytes"),
    "5 MB": (lambda: long_of(5_000_000), "LONG4: an integer of 5000000 bytes"),
    "nine bytes": (lambda: long_of(9), "LONG4: an integer of 9 bytes, want at most 8"),
    "long digits": (lambda: b"(I" + b"9" * 5000 + b"\nl.", "not a whole pickle"),
    "many digits": (lambda: b"(L" + b"9" * 40 + b"L\nl.", "LONG: an integer of 17"),
    "wide names": (wide_names, "a name that is no text"),
    "text": (lambda: b"cos\n" + b"x" * 10**6 + b"\n.", r"the name os\.xx"),
    "bytes": (
        lambda: b"\x8e" + (10**6).to_bytes(8, "little") + b"x" * 10**6 + b".",
        "",
    ),
    "itself": (lambda: b"]q\0h\0a.", "a list that grows when another holds it"),
    "grows later": (lambda: b"]q\0\x850h\0", "POP"),
    "held": (lambda: b"(]q\0lh\0K\1a.", "a list that grows when another holds it"),
    "below a mark": (lambda: b"K\1(\x85.", "fewer values than it takes"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_file_made_to_hang_or_break_the_reader_is_one_short_line(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_bytes, said = BOMBS[name]
    folder = make(tmp_path / "a", as_wav2lip)
    (folder / "coords.pkl").write_bytes(make_bytes())
    (tmp_path / "net.onnx").write_bytes(b"")
    flags = ["--checkpoint", "net.onnx", "--audio-encoder", "net.onnx"]
    assert main(["import", str(folder), "-o", str(tmp_path / "out"), *flags]) == 3
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and len(told) < 400
    assert re.search(rf"coords\.pkl: byte \d+: .*{said}", told), told
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "data",
    [b"(" * 9, b"K\1" * 9, b"K\1" + b"\x94" * 9, b"(" + b"]" * 9 + b"l"],
)
def test_a_file_of_too_many_values_is_refused(
    data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pickled_boxes, "_MOST_OBJECTS", 8)
    (tmp_path / "c.pkl").write_bytes(data)
    with pytest.raises(StudioError, match=r"c\.pkl: byte \d+: more than 8 values"):
        read_pickled_numbers(tmp_path / "c.pkl")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([[[[1] * 16] * 16] * 16] * FRAMES, "nested more than 3 deep"),
        ([[[1] * 16] * 16] * FRAMES, "box 0 is a list of 16: want four"),
        ([(1, 2, [3] * 9, "x" * 500)] * FRAMES, "box 0 holds 1, 2, a list of 9, 'xx"),
        ([(1, 2, 3, None)] * FRAMES, "box 0 holds 1, 2, 3, None: want four"),
    ],
)
def test_rows_that_are_no_boxes_are_told_by_their_kind(
    rows: list, said: str, tmp_path: Path
) -> None:
    folder = make(tmp_path / "a", as_wav2lip)
    (folder / "coords.pkl").write_bytes(pickle.dumps(rows))
    with pytest.raises(StudioError, match=said) as caught:
        read_livetalking(folder)
    assert len(str(caught.value)) < 300


def test_every_cut_of_a_file_is_refused_in_one_line(tmp_path: Path) -> None:
    data = pickle.dumps([as_ultralight(i) for i in range(2)], 4)
    path = tmp_path / "c.pkl"
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(StudioError, match="byte"):
            read_pickled_numbers(path)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([as_wav2lip(0)], "1 boxes, want 6"),
        ([(1, 2, 3)] * FRAMES, "box 0 is"),
        ([(0, 20, 0, 30)] * FRAMES, "no known order"),
    ],
)
def test_coordinates_that_do_not_fit_are_refused(
    rows: list, said: str, tmp_path: Path
) -> None:
    folder = make(tmp_path / "a", as_wav2lip)
    (folder / "coords.pkl").write_bytes(pickle.dumps(rows))
    with pytest.raises(StudioError, match=said):
        read_livetalking(folder)


def test_the_folder_becomes_an_avatar_with_a_model_that_is_given(
    tmp_path: Path,
) -> None:
    """With the demo's networks; the loader accepts it."""
    folder = make(tmp_path / "a", as_ultralight)
    for name in ("generator.onnx", "audio_encoder.onnx"):
        shutil.copy(lab.ROOT / "avatars/demo" / name, tmp_path / name)
    flags = ["--checkpoint", tmp_path / "generator.onnx"]
    flags += ["--audio-encoder", tmp_path / "audio_encoder.onnx"]
    out = tmp_path / "out"
    assert main(["import", str(folder), "-o", str(out), *map(str, flags)]) == 0
    boxes = json.loads((out / "boxes.json").read_text())["boxes"]
    assert boxes == [list(box(i)) for i in range(FRAMES)]
    assert lab.lipcast("inspect", out, "--json").report["frames"] == FRAMES


def test_the_folder_is_the_video_of_a_wav2lip_network(tmp_path: Path) -> None:
    folder = make(tmp_path / "a", as_wav2lip)
    network = tmp_path / "wav2lip.onnx"
    model = models.generator("random", inner_px=96, sound=(1, 80, 16))
    network.write_bytes(model.SerializeToString())
    out = tmp_path / "out"
    flags = ["import", str(network), "--video", str(folder), "-o", str(out)]
    assert main([*flags, "--box", "1,2,3,4"]) == 2  # coords.pkl has them
    assert main(flags) == 0
    assert json.loads((out / "boxes.json").read_text())["boxes"] == [
        list(box(i)) for i in range(FRAMES)
    ]
    report = lab.lipcast("inspect", out, "--json").report
    assert report["frames"] == FRAMES and report["family"] == "wav2lip"


def test_a_musetalk_folder_is_refused_with_what_is_possible(tmp_path: Path) -> None:
    folder = make(tmp_path / "a", as_ultralight)
    (folder / "latents.pt").write_bytes(b"")
    wanted = (
        r"latents\.pt: an avatar of MuseTalk.*works with a Wav2Lip network \(lipcast"
    )
    with pytest.raises(StudioError, match=wanted):
        read_livetalking(folder)
