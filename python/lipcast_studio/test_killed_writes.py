"""A run that is killed between any two steps of a replacement leaves an avatar that loads."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from . import new_package as new_package_module
from .new_package import new_package
from .optimise.optimise_package import MADE
from .optimise.package import Package
from .package_files import file_entry, manifest_bytes

_STEPS = ("replace", "rename", "unlink", "rmdir")  # of Path, that change what a name stands for


def _killed_after(steps: int, work: Callable[[], None]) -> bool:
    """Does `work` in a process that dies before its step `steps`, counted from 0; whether it did."""
    child = os.fork()
    if child == 0:
        left = [steps]
        for name in _STEPS:
            real = getattr(Path, name)

            def step(self: Path, *words: object, real: Callable[..., object] = real, **named: object) -> object:
                if left[0] == 0:
                    os._exit(9)
                left[0] -= 1
                return real(self, *words, **named)

            setattr(Path, name, step)
        try:
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, 9)
    return code == 9


def _avatar(folder: Path, marker: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "generator.onnx").write_bytes(marker.encode())
    manifest = {
        "format": "lipcast-avatar",
        "generator": {"model": "generator.onnx"},
        "files": {"generator.onnx": file_entry(marker.encode())},
    }
    (folder / "avatar.json").write_bytes(manifest_bytes(manifest))


def _optimised(folder: Path, marker: str) -> None:
    """What `optimise` writes, with other bytes for its networks."""
    package = Package(folder)
    package.drop(MADE)
    for name in MADE[:3] if marker == "new" else MADE:  # the new run makes fewer
        package.add(name, f"{marker} {name}".encode())
    package.generator["split"] = {"image": MADE[0], "audio": MADE[1]}
    package.generator["variant"] = "split"
    package.save()


def _loads(folder: Path) -> dict[str, object]:
    """The manifest, where each file it lists is as it says and each network it names is listed."""
    manifest = json.loads((folder / "avatar.json").read_bytes())
    for name, entry in manifest["files"].items():
        assert file_entry((folder / name).read_bytes()) == entry, name
    split = manifest["generator"].get("split", {})
    assert set(split.values()) <= set(manifest["files"])
    assert manifest["generator"].get("variant", "full") in ("full", "split")
    return dict(manifest)


def test_optimise_that_is_killed_while_it_replaces(tmp_path: Path) -> None:
    for steps in range(50):
        folder = tmp_path / str(steps)
        _avatar(folder, "whole")
        _optimised(folder, "old")
        before = _loads(folder)
        killed = _killed_after(steps, lambda folder=folder: _optimised(folder, "new"))  # type: ignore[misc]
        after = _loads(folder)
        _optimised(folder, "new")  # and the next run mends what the killed one left
        assert _loads(folder)["files"] != before["files"]
        if not killed:
            assert steps > 5
            assert after == _loads(folder)
            return
    pytest.fail("more than 50 steps")


@pytest.mark.parametrize("at_once", [True, False])
def test_a_package_that_replaces_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: bool) -> None:
    """In one step where the system can: then one of the two is in place always."""
    if not at_once:
        monkeypatch.setattr(new_package_module, "_EXCHANGE", 1 << 20)  # no such flag: as on a file system without it
    for steps in range(50):
        shelf = tmp_path / str(steps)
        shelf.mkdir()
        output = shelf / "anna"
        _avatar(output, "old")

        def replace(output: Path = output) -> None:
            with new_package(output) as part:
                _avatar(part, "new")

        killed = _killed_after(steps, replace)
        if at_once or not killed:
            _loads(output)
        found = {path.read_bytes() for path in shelf.rglob("generator.onnx")}
        assert found & {b"old", b"new"}
        if not killed:
            assert found == {b"new"}
            return
    pytest.fail("more than 50 steps")
