"""Fixtures of the end-to-end tests: sounds and marker avatars, each made once a session."""

from __future__ import annotations

import hashlib
import importlib
import os
import subprocess
import sys
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
for folder in (ROOT, ROOT / "python", ROOT / "tests"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

# Of PyTorch, before it is loaded: threads that wait for each other cost most on a machine with other work.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import lab  # noqa: E402
from markers import avatars  # noqa: E402

from tests import served  # noqa: E402
from tests.browser import Page, chromium  # noqa: E402

SENTENCE = (
    "The quick brown fox jumps over the lazy dog, and maybe, my mother bakes bread."
)
# By hand alone: on a machine that is busy beside it, Firefox with a sound device of this kind answers
# nothing for half a minute, now and then.
collect_ignore = [] if os.environ.get("LIPCAST_FIREFOX") else ["test_page_firefox.py"]
# These test the rulers, not the engine.
WITHOUT_BINARY = {"test_markers.py"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without a binary the engine's tests fail once, at their start, with the reason."""
    for item in items:
        if item.path.parent == ROOT / "tests" and item.path.name not in WITHOUT_BINARY:
            item.add_marker(pytest.mark.usefixtures("binary"))


@pytest.fixture(scope="session")
def binary() -> Path:
    """The binary under test. There is no skipping: a run without it is a failure."""
    if not lab.BINARY.is_file():
        pytest.fail(
            f"{lab.BINARY}: no such file; build the release preset or set LIPCAST_BIN"
        )
    return lab.BINARY


@pytest.fixture(scope="session")
def session_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for everything that is made once."""
    return tmp_path_factory.mktemp("lipcast")


@pytest.fixture(scope="session")
def sentence(session_dir: Path) -> lab.Samples:
    """[n] at 16 kHz: a spoken sentence of about 4 s."""
    return lab.flite(session_dir / "sentence.wav", SENTENCE)


@pytest.fixture(scope="session")
def speech_wav(session_dir: Path, sentence: lab.Samples) -> Path:
    """The spoken sentence as a 16 kHz, 16 bit file."""
    assert len(sentence) > 2 * lab.RATE_HZ
    return session_dir / "sentence.wav"


@pytest.fixture(scope="session")
def long_speech(session_dir: Path) -> Path:
    """The demo's sentence ten times over: no stall of the machine swallows all of it."""
    path = session_dir / "long-speech.wav"
    with wave.open(str(served.SPEECH)) as one, wave.open(str(path), "wb") as ten:
        ten.setparams(one.getparams())
        ten.writeframes(one.readframes(one.getnframes()) * 10)
    return path


@pytest.fixture(scope="session")
def avatar(session_dir: Path) -> Callable[..., Path]:
    """avatar(name, **make_avatar's arguments): made on first use, shared after."""
    made: dict[str, Path] = {}

    def get(name: str, **arguments: object) -> Path:
        if name not in made:
            made[name] = avatars.make_avatar(session_dir / name, name=name, **arguments)
        return made[name]

    return get


@pytest.fixture(scope="session")
def m1(avatar: Callable[..., Path]) -> Path:
    """320x240, 50 textured frames, the paste must be invisible."""
    return avatar("m1", model="M1", textured=True)


@pytest.fixture(scope="session")
def m2(avatar: Callable[..., Path]) -> Path:
    """320x240, 50 flat frames, the mask shows the loudness of the frame's own 40 ms."""
    return avatar("m2", model="M2", encoder="onset")


@pytest.fixture(scope="session")
def tiny(avatar: Callable[..., Path]) -> Path:
    """64x64, the smallest network: for long runs and counts."""
    return avatar("tiny", model="M1", size=(64, 64), inner=16, border=2, frames=25)


@pytest.fixture(scope="session")
def talking_demo(session_dir: Path) -> Path:
    """The demo says 4 s, 640x360 at 15 frames/s; frames 20 to 29 of 60 show no face."""
    sound, whole = session_dir / "talking.wav", session_dir / "whole.mp4"
    lab.ffmpeg("-i", lab.ROOT / "avatars/demo/speech.wav", "-t", 4, sound)
    flags = ("--size", "640x360", "--fps", 15)
    lab.render(lab.ROOT / "avatars/demo", sound, whole, *flags)
    box = "drawbox=0:0:640:360:gray:fill:enable='between(n,20,29)'"
    made = session_dir / "talking.mp4"
    lab.ffmpeg("-i", whole, "-vf", box, "-crf", 14, "-c:a", "copy", made)
    return made


@pytest.fixture(scope="session")
def wire(tmp_path_factory):
    """The messages of lipcast.v1, made from the .proto as any client would."""
    out = tmp_path_factory.mktemp("wire")
    subprocess.run(
        [
            sys.executable,
            "-m",
            "grpc_tools.protoc",
            f"-I{lab.ROOT / 'proto'}",
            f"--python_out={out}",
            f"--grpc_python_out={out}",
            "lipcast/v1/lipcast.proto",
        ],
        check=True,
    )
    sys.path.insert(0, str(out))
    messages = importlib.import_module("lipcast.v1.lipcast_pb2")
    services = importlib.import_module("lipcast.v1.lipcast_pb2_grpc")
    return messages, services


@pytest.fixture(scope="session")
def server():
    with served.serving() as one:
        yield one


@pytest.fixture(scope="session")
def rendered(tmp_path_factory):
    """What `lipcast render` makes of the first two seconds."""
    folder = tmp_path_factory.mktemp("rendered")
    audio, rate = served.pcm()
    audio = audio[: rate * 4]
    jpegs = served.rendered_jpegs(folder, "-", "--rate", rate, stdin=audio)
    hashes = [hashlib.sha256(jpeg).hexdigest() for jpeg in jpegs]
    return audio, rate, hashes


# The page's tests: a browser and a server for each file, a tab for each test.


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with chromium(tmp_path_factory.mktemp("browser")) as port:
        yield port


@pytest.fixture(scope="module", name="served")
def demo_server() -> Iterator[served.Served]:
    with served.serving() as server:
        yield server


@pytest.fixture
def page(browser: int) -> Iterator[Page]:
    tab = Page(browser)
    yield tab
    tab.close()
