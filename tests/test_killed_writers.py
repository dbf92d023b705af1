"""A package that is being replaced, killed before each thing it does to the disk: it is the old one or the new one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import lab
import pytest
from lipcast_studio import swap_folders
from lipcast_studio.new_package import new_package
from lipcast_studio.optimise.package import Package
from lipcast_studio.package_files import file_entry, manifest_bytes

DEMO = lab.ROOT / "avatars/demo"
EXTRA = "optimise.json"
TOUCHES = ("open", "os.", "shutil.")  # audit events of what changes the disk, and more


def _contents(folder: Path) -> dict[str, bytes]:
    files = (p for p in folder.iterdir() if p.is_file() and p.name[0] != ".")
    return {p.name: p.read_bytes() for p in files}


def _manifest_with(folder: Path, data: bytes) -> dict:
    manifest = json.loads((folder / "avatar.json").read_text())
    manifest["files"][EXTRA] = file_entry(data)
    return manifest


def _optimise(folder: Path) -> None:
    """What `lipcast avatar optimise --overwrite` does once everything is measured."""
    package = Package(folder)
    package.drop([EXTRA])
    package.add(EXTRA, b'{"new": 2}\n')
    package.save()


def _import(folder: Path) -> None:
    """What `lipcast avatar import --overwrite` and `create --overwrite` do."""
    data = b'{"new": 2}\n'
    manifest = _manifest_with(folder, data)
    with new_package(folder) as part:
        for path in folder.iterdir():
            if path.name not in ("avatar.json", EXTRA):
                shutil.copy(path, part)
        (part / EXTRA).write_bytes(data)
        (part / "avatar.json").write_bytes(manifest_bytes(manifest))


def _killed(write: Callable[[], None], number: int) -> bool:
    """Runs it in a process that is killed before its `number`th touch of the disk; False where it had fewer."""
    child = os.fork()
    if child == 0:
        left = [number]

        def hook(event: str, _: object) -> None:
            if event.startswith(TOUCHES) and event != "os.kill":
                left[0] -= 1
                if left[0] < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        try:
            write()
        except BaseException:
            os._exit(1)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


@pytest.mark.parametrize("write", [_optimise, _import])
def test_a_writer_killed_at_any_point_leaves_the_old_or_the_new_package(
    write: Callable[[Path], None], tmp_path: Path
) -> None:
    old, data = tmp_path / "old", b'{"old": 1}\n'
    shutil.copytree(DEMO, old, ignore=shutil.ignore_patterns("truth"))
    (old / EXTRA).write_bytes(data)
    (old / "avatar.json").write_bytes(manifest_bytes(_manifest_with(old, data)))
    new = tmp_path / "new"
    shutil.copytree(old, new)
    write(new)
    before, after = _contents(old), _contents(new)
    assert before != after
    for folder in (old, new):
        assert lab.lipcast("inspect", folder).code == 0

    found, number = [], 0
    while True:
        place = tmp_path / "place"
        folder = place / "demo"
        shutil.copytree(old, folder, copy_function=os.link)
        killed = _killed(lambda folder=folder: write(folder), number)
        now = _contents(folder)
        assert now in (before, after), f"killed at touch {number}"
        found.append(now == after)
        shutil.rmtree(place)
        if not killed:
            break
        number += 1
    assert number > 5
    assert found == sorted(found), "new, and then old again"
    assert found[0] is False
    assert found[-1] is True
    assert found.count(True) > 1, "never killed after the new one was in its place"
    assert _contents(old) == before, "the old files were written into"


def test_without_an_exchange_the_folder_is_still_replaced_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(swap_folders, "_exchange", lambda a, b: False)
    folder = tmp_path / "demo"
    shutil.copytree(DEMO, folder)
    _optimise(folder)
    assert (folder / EXTRA).read_bytes() == b'{"new": 2}\n'
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]


def test_a_linked_folder_keeps_its_link_its_mode_and_its_links(tmp_path: Path) -> None:
    folder, link = tmp_path / "real", tmp_path / "demo"
    shutil.copytree(DEMO, folder)
    folder.chmod(0o750)
    (folder / "alias.txt").symlink_to("avatar.json")
    (folder / "more").mkdir()
    (folder / "more" / EXTRA).write_text("kept")
    link.symlink_to("real")
    _optimise(link)
    assert link.is_symlink()
    assert folder.stat().st_mode & 0o777 == 0o750
    assert (folder / "alias.txt").is_symlink()
    assert (folder / "more" / EXTRA).read_text() == "kept"
    assert (folder / EXTRA).read_bytes() == b'{"new": 2}\n'
    assert sorted(p.name for p in tmp_path.iterdir()) == ["demo", "real"]
