"""The studio as a wheel: built from a copy of the tree, it stands behind `lipcast avatar` in an environment of its own."""

from __future__ import annotations

import subprocess
import sys
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import lab
import onnx
import pytest
from test_avatar_import import make_training_folder, save_checkpoints

PIP = (sys.executable, "-m", "pip", "-q", "--disable-pip-version-check", "--no-input")
# A line of a .pth runs at each start: which package stood behind the command is told at its end.
TELLS = (
    "import atexit, os, sys; atexit.register(lambda: open({place!r}, 'a')"
    ".write(getattr(sys.modules.get('lipcast_studio'), '__file__', '-') + os.linesep))\n"
)


def run(*words: object, cwd: Path | None = None) -> None:
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built of what is tracked, without network: nothing else in the tree helps it."""
    folder = tmp_path_factory.mktemp("wheel")
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "python/pyproject.toml"]
        + ["python/lipcast_studio"],
        cwd=lab.ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(lambda name: (lab.ROOT / name).is_file(), listed.stdout.split()):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes((lab.ROOT / name).read_bytes())
    build = ("wheel", "--no-deps", "--no-index", "--no-build-isolation")
    run(*PIP, *build, "-w", folder, folder / "python")
    [made] = folder.glob("lipcast_studio-*-py3-none-any.whl")
    return made


@pytest.fixture(scope="module")
def avatar(
    wheel: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., lab.Run]:
    """avatar(COMMAND, ..): `lipcast avatar` outside the source tree, the wheel behind it; its run."""
    folder = tmp_path_factory.mktemp("away")
    home, told = folder / "env", folder / "told"
    venv.create(home)
    python = home / "bin/python"
    run(*PIP, "--python", python, "install", "--no-deps", "--no-index", wheel)
    [site] = home.glob("lib/python*/site-packages")
    depends_on = Path(onnx.__file__).parents[1]  # as the tests' environment has it
    (site / "shared.pth").write_text(f"{depends_on}\n{TELLS.format(place=str(told))}")

    def command(*words: object, ok: bool = True) -> lab.Run:
        told.write_text("")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("LIPCAST_PYTHON", str(python))
            patch.delenv("PYTHONPATH", raising=False)
            found = lab.lipcast("avatar", *words, ok=ok, cwd=folder)
        [package] = set(told.read_text().split())  # twice: lib and lib64
        assert Path(package).is_relative_to(site), package
        return found

    return command


def test_the_studio_wheel_holds_its_types_and_data_and_names_its_licence(
    wheel: Path,
) -> None:
    with zipfile.ZipFile(wheel) as file:
        names = set(file.namelist())
        [metadata] = [name for name in names if name.endswith("/METADATA")]
        said = file.read(metadata).decode()
    tracked = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "lipcast_studio"],
        cwd=lab.ROOT / "python",
        check=True,
        capture_output=True,
        text=True,
    )
    modules = {name for name in tracked.stdout.split() if name.endswith(".py")}
    there = {name for name in modules if (lab.ROOT / "python" / name).is_file()}
    data = {"lipcast_studio/py.typed", "lipcast_studio/networks/golden.json"}
    assert {name for name in names if "dist-info/" not in name} == there | data
    assert "License: Apache-2.0" in said or "License-Expression: Apache-2.0" in said
    for needed in ("numpy", "onnx", "onnxruntime", "opencv-python-headless"):
        assert f"Requires-Dist: {needed}>=" in said


def test_the_studio_wheel_imports_packs_unpacks_and_lists(
    avatar: Callable[..., lab.Run], tmp_path: Path
) -> None:
    source = tmp_path / "trained"
    make_training_folder(source)
    save_checkpoints(source / "checkpoint/195.pth", source / "audio_visual_encoder.pth")
    said = avatar("import", source, "-o", tmp_path / "all/anna").stderr
    assert said.count("ONNX Runtime and PyTorch differ by at most") == 2
    avatar("pack", tmp_path / "all/anna", "-o", tmp_path / "all/packed.zip")
    avatar("unpack", tmp_path / "all/packed.zip", "-o", tmp_path / "all/back")
    for path in (tmp_path / "all/anna").iterdir():
        again = tmp_path / "all/back" / path.name
        assert path.is_dir() or again.read_bytes() == path.read_bytes()
    listed = avatar("list", tmp_path / "all").stdout.decode().splitlines()
    assert [line.split("\t")[0] for line in listed] == ["anna", "back", "packed"]
    lab.lipcast("inspect", tmp_path / "all/back", "--json")


def test_the_studio_wheel_verifies_and_fails_in_one_line(
    avatar: Callable[..., lab.Run], tmp_path: Path
) -> None:
    """The parts that are loaded late are in it: verify and, where it has nothing to read, create and optimise."""
    for words in (
        ("info", tmp_path / "none"),
        ("verify", tmp_path / "none"),
        ("optimise", tmp_path / "none"),
        ("create", tmp_path / "none.mp4", "-o", tmp_path / "new"),
    ):
        refused = avatar(*words, ok=False)
        lab.refused(refused, "none")
        assert refused.code == 3, refused.stderr
    assert not (tmp_path / "new").exists()
