"""Packed, unpacked, found by name, listed."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from . import __main__, archive
from .errors import StudioError


def avatar(folder: Path, frames: int = 6) -> Path:
    """Enough of one for what is tested here: the engine is not asked."""
    folder.mkdir(parents=True)
    generator = {"family": "synctalk", "inner_px": 160}
    manifest = {"format": "lipcast-avatar", "width": 320, "height": 240, "frame_count": frames, "generator": generator}
    (folder / "avatar.json").write_text(json.dumps(manifest))
    (folder / "frames").mkdir()
    (folder / "frames/000001.png").write_bytes(bytes(range(256)) * 40)
    return folder


def packed(folder: Path) -> Path:
    archive.pack(folder, folder.with_name(folder.name + ".zip"), False)
    return folder.with_name(folder.name + ".zip")


def damaged(file: Path) -> Path:
    """One byte of the picture is another: its checksum tells."""
    data = bytearray(file.read_bytes())
    data[data.index(bytes(range(256))) + 7] ^= 0xFF
    file.write_bytes(data)
    return file


@pytest.mark.parametrize("there", [False, True])
def test_a_damaged_archive_leaves_nothing_and_what_was_there_stays(there: bool, tmp_path: Path) -> None:
    file = damaged(packed(avatar(tmp_path / "anna")))
    out = tmp_path / "out/anna"
    if there:
        avatar(out, frames=9)
    with pytest.raises(StudioError, match=r"anna\.zip: frames/000001\.png: "):
        archive.unpack(file, out, overwrite=True)
    assert out.exists() == there
    if there:
        assert archive.read_manifest(out)["frame_count"] == 9
    assert [path.name for path in out.parent.iterdir()] == (["anna"] if there else [])


def test_unpack_replaces_an_avatar_only_when_asked_and_nothing_else_ever(tmp_path: Path) -> None:
    file = packed(avatar(tmp_path / "anna"))
    out = avatar(tmp_path / "old", frames=9)
    with pytest.raises(StudioError, match="old: exists; --overwrite replaces it"):
        archive.unpack(file, out, overwrite=False)
    archive.unpack(file, out, overwrite=True)
    assert archive.read_manifest(out)["frame_count"] == 6
    (tmp_path / "diary").mkdir()
    (tmp_path / "diary/monday.txt").write_text("rain")
    with pytest.raises(StudioError, match="is not an avatar; it is left alone"):
        archive.unpack(file, tmp_path / "diary", overwrite=True)


def test_a_name_that_leaves_the_folder_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    for name in ("../gone.txt", "/gone.txt", "a/../../gone.txt"):
        with zipfile.ZipFile(tmp_path / "bad.zip", "w") as file:
            file.writestr("avatar.json", "{}")
            file.writestr(name, "x")
        with pytest.raises(StudioError, match="leaves the package"):
            archive.unpack(tmp_path / "bad.zip", tmp_path / "out", overwrite=False)
    assert [path.name for path in tmp_path.iterdir()] == ["bad.zip"]


def test_every_place_of_a_name_is_listed_and_the_first_one_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "first", tmp_path / "second ü"
    avatar(first / "anna", frames=1)
    packed(avatar(first / "zip"))
    (first / "zip/avatar.json").unlink()  # its folder is none now, its .zip still is
    avatar(second / "anna", frames=2)
    avatar(second / "ben", frames=3)
    (second / "notes").mkdir()
    (second / "broken.zip").write_bytes(b"PK")
    with zipfile.ZipFile(second / "holiday.zip", "w") as file:
        file.writestr("beach.jpg", b"")
    monkeypatch.setenv("LIPCAST_AVATARS", f"{first}:{tmp_path / 'nowhere'}::{second}:")
    monkeypatch.chdir(tmp_path)
    assert __main__.main(["list"]) == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    columns = ["320x240", "synctalk 160 px"]
    assert lines == [
        ["anna", columns[0], "1 frames", columns[1], str(first / "anna")],
        ["ben", columns[0], "3 frames", columns[1], str(second / "ben")],
        ["broken", f"{second / 'broken.zip'}: not a .zip that can be read", str(second / "broken.zip")],
        ["zip", columns[0], "6 frames", columns[1], str(first / "zip.zip")],
    ]
    assert __main__.main(["list", str(second)]) == 0
    assert capsys.readouterr().out.startswith("anna\t320x240\t2 frames")


def test_an_avatar_is_meant_by_its_path_or_else_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    avatar(tmp_path / "shelf/anna")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIPCAST_AVATARS", "shelf")
    assert archive.find_avatar(Path("anna")) == Path("shelf/anna")
    with pytest.raises(StudioError, match=r"^ben: no such folder, and no avatar of that name in shelf$"):
        archive.find_avatar(Path("ben"))
    avatar(tmp_path / "anna")
    assert archive.find_avatar(Path("anna")) == Path("anna")
    for path in (Path("here/anna"), Path(".."), Path("/anna")):
        assert archive.find_avatar(path) == path  # as it is: who opens it says what is wrong


def test_a_packed_avatar_where_a_folder_is_wanted_is_called_that(tmp_path: Path) -> None:
    file = packed(avatar(tmp_path / "anna"))
    with pytest.raises(StudioError, match=r"anna\.zip: a packed avatar; lipcast avatar unpack"):
        archive.read_manifest(file)
