"""Packed, unpacked, found by name, listed."""

from __future__ import annotations

import json
import os
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from . import __main__, archive
from .engine import inspect
from .errors import EXIT_INPUT, EXIT_OUTPUT, StudioError

DEMO = Path(__file__).parents[2] / "avatars/demo"


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


def zipped(file: Path, *names: str) -> Path:
    """An archive with an avatar.json and these names, each with a few bytes."""
    with zipfile.ZipFile(file, "w") as made:
        for name in ("avatar.json", *names):
            made.writestr(name, b"{}")
    return file


def with_header(file: Path, central: int, value: int) -> Path:
    """The 16 bits there in the central header of "odd", and in its local one, where they stand 2 bytes earlier, are others."""
    data = bytearray(file.read_bytes())
    struct.pack_into("<H", data, data.rindex(b"odd") - 46 + central, value)
    struct.pack_into("<H", data, data.index(b"odd") - 30 + central - 2, value)
    file.write_bytes(data)
    return file


def link_in(file: Path) -> Path:
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("avatar.json", b"{}")
        entry = zipfile.ZipInfo("frames.mp4")
        entry.external_attr = 0o120777 << 16
        made.writestr(entry, "/etc/passwd")
    return file


def longer_than_told(file: Path) -> Path:
    """Deflated, whole, its checksum right: only the size is another."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("avatar.json", b"{}")
        made.writestr("odd", b"x" * 100)
    return with_header(file, 24, 200)


UNPACKED_NEVER: list[tuple[Callable[[Path], Path], str]] = [
    (lambda f: with_header(zipped(f, "odd"), 8, 1), "'odd' is encrypted; want a plain archive"),
    (lambda f: with_header(zipped(f, "odd"), 10, 99), "'odd' is compressed by method 99; want it stored or deflated"),
    (lambda f: with_header(zipped(f, "odd"), 10, 12), "'odd' is compressed by method 12; want it stored or deflated"),
    (lambda f: zipped(f, "a", "a/b"), "'a' is a file and a folder"),
    (lambda f: zipped(f, "a/b/c/d", "a/b"), "'a/b' is a file and a folder"),
    (lambda f: zipped(f, "n" * 300), "n' has a part of 300 bytes, more than 255"),
    (lambda f: zipped(f, "/".join(["ab"] * 400)), "has 1199 bytes, more than 1024"),
    (lambda f: zipped(f, "frames\\1.png"), "the name 'frames\\\\1.png' has a backslash"),
    (lambda f: zipped(f, "a\tb"), "has a control character"),
    (lambda f: zipped(f, "c:/a"), "names a drive"),
    (lambda f: zipped(f, "a//b"), "has an empty part"),
    (lambda f: zipped(f, "../up/"), "leaves the package"),
    (link_in, "'frames.mp4' is a symbolic link; want the file itself"),
    (longer_than_told, "odd: unpacks to 100 bytes, its header says 200"),
]


@pytest.mark.parametrize(("made", "said"), UNPACKED_NEVER)
def test_what_the_loader_refuses_of_an_archive_is_not_unpacked(
    made: Callable[[Path], Path], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = made(tmp_path / "bad.zip")
    assert __main__.main(["unpack", str(file), "-o", str(tmp_path / "out")]) == EXIT_INPUT
    told = capsys.readouterr().err
    assert told.startswith(f"lipcast: {file}: ") and said in told and told.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["bad.zip"]


def test_names_in_utf8_that_are_not_marked_as_such_are_read_as_the_loader_reads_them(tmp_path: Path) -> None:
    """macOS packs so. Others of old are in code page 437."""
    for name, stored in (("кадры/0.png", "кадры/0.png".encode()), ("\u00e9/0.png", b"\x82/0.png")):
        file = zipped(tmp_path / "a.zip", "odd".ljust(len(stored), "d"))
        file.write_bytes(file.read_bytes().replace(b"odd".ljust(len(stored), b"d"), stored))
        archive.unpack(file, tmp_path / "out", overwrite=True)
        assert (tmp_path / "out" / name).read_bytes() == b"{}"


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_is_there_twice_is_not_unpacked(tmp_path: Path) -> None:
    with pytest.raises(StudioError, match=r"'a' is there twice; want it once"):
        archive.unpack(zipped(tmp_path / "bad.zip", "a", "b", "a"), tmp_path / "out", overwrite=False)
    assert [path.name for path in tmp_path.iterdir()] == ["bad.zip"]


def test_an_interrupted_unpack_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = packed(avatar(tmp_path / "anna"))
    real, seen = zipfile.ZipFile.open, []

    def interrupted(self: zipfile.ZipFile, entry: zipfile.ZipInfo) -> object:
        seen.append([path.name for path in (tmp_path / "out").iterdir()])
        if len(seen) == 2:
            raise KeyboardInterrupt
        return real(self, entry)

    monkeypatch.setattr(zipfile.ZipFile, "open", interrupted)
    assert __main__.main(["unpack", str(file), "-o", str(tmp_path / "out/anna")]) == 130
    assert len(seen) == 2 and len(seen[1]) == 1 and seen[1][0].startswith(".anna.")  # it had begun
    assert list((tmp_path / "out").iterdir()) == []


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


def demo(folder: Path) -> Path:
    """A whole avatar that the engine loads."""
    return Path(shutil.copytree(DEMO, folder, ignore=shutil.ignore_patterns("truth")))


def test_links_inside_the_package_are_packed_as_what_they_lead_to(tmp_path: Path) -> None:
    folder = demo(tmp_path / "anna")
    (folder / "store").mkdir()
    (folder / "frames.mp4").rename(folder / "store/film")
    (folder / "frames.mp4").symlink_to("store/film")
    (folder / "more").symlink_to("store")
    file = packed(folder)
    assert inspect(file)["frames"] == inspect(folder)["frames"]
    with zipfile.ZipFile(file) as made:
        assert {"frames.mp4", "store/film", "more/film"} < set(made.namelist())
        assert made.read("frames.mp4") == (DEMO / "frames.mp4").read_bytes()


def out_of_it(folder: Path) -> None:
    (folder.parent / "secret").write_text("x")
    (folder / "frames/2.png").symlink_to("../../secret")


def folder_out_of_it(folder: Path) -> None:
    (folder / "truth").symlink_to("/etc")


def nowhere(folder: Path) -> None:
    (folder / "frames/2.png").symlink_to("3.png")


def around_itself(folder: Path) -> None:
    (folder / "frames/again").symlink_to("..")


def unlisted(folder: Path) -> None:
    manifest = json.loads((folder / "avatar.json").read_text())
    (folder / "avatar.json").write_text(json.dumps({**manifest, "files": {"generator.onnx": {}}}))


def odd_name(folder: Path) -> None:
    (folder / "frames/a\\b.png").write_bytes(b"x")


def bytes_for_a_name(folder: Path) -> None:
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff.png")).write_bytes(b"x")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (out_of_it, "2.png: leads out of the package, to "),
        (folder_out_of_it, "truth: leads out of the package, to /etc; want a file inside it"),
        (nowhere, "2.png: a link that leads nowhere"),
        (around_itself, "again: a link to a folder that it lies in"),
        (unlisted, "avatar.json: lists 'generator.onnx': no such file"),
        (odd_name, "has a backslash"),
        (bytes_for_a_name, "is not UTF-8"),
    ],
)
def test_what_would_be_a_broken_archive_is_not_packed(
    change: Callable[[Path], None], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = avatar(tmp_path / "anna")
    change(folder)
    assert __main__.main(["pack", str(folder), "-o", str(tmp_path / "anna.zip")]) == EXIT_INPUT
    told = capsys.readouterr().err
    assert said in told and told.count("\n") == 1
    assert not [path for path in tmp_path.iterdir() if "zip" in path.name]


def test_an_archive_inside_the_folder_does_not_hold_itself_or_another(tmp_path: Path) -> None:
    folder = demo(tmp_path / "anna")
    (folder / ".old.zip.part").write_bytes(b"left by a killed run")
    files = sorted(path.name for path in folder.iterdir() if path.name != ".old.zip.part")
    for name in ("self.zip", "self2.zip", "self.zip"):
        archive.pack(folder, folder / name, overwrite=True)
        with zipfile.ZipFile(folder / name) as made:
            assert sorted(made.namelist()) == files
        assert inspect(folder / name)["frames"] == inspect(DEMO)["frames"]
    listed = json.loads((folder / "avatar.json").read_text())
    listed["files"]["self2.zip"] = {"sha256": "0" * 64, "bytes": (folder / "self2.zip").stat().st_size}
    (folder / "avatar.json").write_text(json.dumps(listed))
    archive.pack(folder, folder / "self.zip", overwrite=True)
    with zipfile.ZipFile(folder / "self.zip") as made:
        assert sorted(made.namelist()) == sorted([*files, "self2.zip"])


DEEP = b"[" * 100_000


@pytest.mark.parametrize("command", [["info"], ["verify"], ["pack", "-o", "x.zip"]])
def test_a_manifest_that_nests_without_end_is_one_line(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (avatar(tmp_path / "anna") / "avatar.json").write_bytes(DEEP)
    assert __main__.main([command[0], "anna", *command[1:]]) == EXIT_INPUT
    assert capsys.readouterr().err == "lipcast: anna/avatar.json: nested too deep: want at most 16 levels\n"


def test_an_avatar_that_cannot_be_listed_says_why_in_its_line(tmp_path: Path) -> None:
    (avatar(tmp_path / "deep") / "avatar.json").write_bytes(DEEP)
    (avatar(tmp_path / "null") / "avatar.json").write_text('{"format": "lipcast-avatar", "generator": null}')
    with_header(zipped(tmp_path / "locked.zip", "odd"), 8, 1)
    with zipfile.ZipFile(tmp_path / "large.zip", "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("large/avatar.json", b" " * ((16 << 20) + 1))
    lines = [line.split("\t")[:2] for line in archive.describe([tmp_path])]
    assert lines == [
        ["deep", f"{tmp_path}/deep/avatar.json: nested too deep: want at most 16 levels"],
        ["large", f"{tmp_path}/large.zip/avatar.json: more than 16 MiB"],
        ["locked", f"{tmp_path}/locked.zip: 'odd' is encrypted; want a plain archive"],
        ["null", f"{tmp_path}/null/avatar.json: generator is no object"],
    ]


def test_what_a_killed_run_left_at_its_output_is_not_packed_into_itself(tmp_path: Path) -> None:
    folder = avatar(tmp_path / "anna")
    (folder / "frames/.a.zip.part").write_bytes(b"left by a killed run")
    archive.pack(folder, folder / "frames/a.zip", overwrite=False)
    with zipfile.ZipFile(folder / "frames/a.zip") as made:
        assert sorted(made.namelist()) == ["avatar.json", "frames/000001.png"]


def test_a_file_that_cannot_be_read_and_an_output_that_cannot_be_written_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = avatar(tmp_path / "anna")
    with pytest.raises(StudioError, match=r"none/a\.zip: No such file or directory") as caught:
        archive.pack(folder, tmp_path / "none/a.zip", overwrite=False)
    assert caught.value.code == EXIT_OUTPUT

    def locked(self: zipfile.ZipFile, path: Path, name: str) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(zipfile.ZipFile, "write", locked)
    with pytest.raises(StudioError, match=r"anna/avatar\.json: Permission denied") as caught:
        archive.pack(folder, tmp_path / "a.zip", overwrite=False)
    assert caught.value.code == EXIT_INPUT
