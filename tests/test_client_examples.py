"""examples/ run as their reader runs them: as programs, against the real server."""

import os
import re
import subprocess
import sys

import lipcast_client
import pytest
from lipcast_client import Client

from tests import lab
from tests.served import SPEECH, serving, wait_until

EXAMPLES = lab.ROOT / "examples"


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    """Three seconds of speech at 16 kHz."""
    path = tmp_path_factory.mktemp("short") / "short.wav"
    lab.ffmpeg("-i", SPEECH, "-t", 3, "-ar", 16000, "-c:a", "pcm_s16le", path)
    return path


def run(server, name, *arguments, ok=True, server_option=True):
    with Client(f"127.0.0.1:{server.grpc_port}") as client:
        assert wait_until(lambda: client.info().sessions == 0, 20)
    where = ["--server", f"127.0.0.1:{server.grpc_port}"] if server_option else []
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *map(str, arguments), *where],
        cwd=os.path.dirname(EXAMPLES / name),
        env={**os.environ, "PYTHONPATH": str(lab.ROOT / "python")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode == 0) == ok, done.stderr
    return done.stdout if ok else done.stderr


def check_mp4(path, frames):
    video, sound = lab.probe(path), lab.probe(path, "a")
    assert int(video["nb_read_packets"]) == frames
    assert (video["codec_name"], sound["codec_name"]) == ("h264", "aac")
    assert (video["width"], video["height"]) == (1280, 720)
    assert abs(float(sound["duration"]) - frames / 25) < 0.1


def test_speak_wav_makes_a_video_of_every_frame(server, short, tmp_path):
    out = tmp_path / "out.mp4"
    assert "75 frames at 25 frames/s" in run(server, "speak_wav.py", short, "-o", out)
    check_mp4(out, 75)


def test_live_feed_hears_all_of_it_in_real_time(server, short):
    said = run(server, "live_feed.py", short)
    after = float(re.search(r"first frame of the voice after ([\d.]+) s", said)[1])
    assert 0.5 < after < 5
    frames, voice = map(int, re.search(r"(\d+) frames, (\d+) with", said).groups())
    assert voice == 75 and frames > 75
    assert "; 3.00 s played" in said


def test_barge_in_stops_the_old_and_speaks_the_new(server, short):
    said = run(server, "barge_in.py", short)
    assert 1 <= float(re.search(r"cleared in [\d.]+ ms, ([\d.]+) s", said)[1]) < 3
    assert re.search(r"old utterance that followed: [01]\n", said)
    assert "frames of the new one: 75, 3.00 s of it played" in said


def test_render_mp4_writes_the_servers_file(server, short, tmp_path):
    out = tmp_path / "out.mp4"
    said = run(server, "render_mp4.py", short, "-o", out)
    assert re.search(r"75 frames in [\d.]+ s by cpu", said)
    check_mp4(out, 75)
    whole = tmp_path / "whole.mp4"
    lab.lipcast("render", "--avatar", "demo", short, "-o", whole, cwd=lab.ROOT)
    assert out.read_bytes() == whole.read_bytes()


def test_avatars_are_listed_and_each_speaks(short, m2):
    roots = f"avatars.roots={lab.ROOT / 'avatars'},{m2.parent}"
    with serving("--set", roots) as server:
        said = run(server, "avatars.py", short)
    assert "demo: 1280x720, 25 frames/s" in said and "m2: 320x240, 25" in said
    for name in ("demo", "m2"):
        assert f"{name}: spoke 3.00 s in 75 frames" in said


def test_several_sessions_of_one_program_show_the_same(server, short):
    said = run(server, "several_sessions.py", short, "-n", 3)
    assert len(re.findall(r"session \d: 75 frames, 3.00 s of sound", said)) == 3
    assert said.endswith("all showed the same pictures\n")


def test_the_examples_of_the_page_run_as_they_stand(server, short, tmp_path):
    page = (lab.ROOT / "docs/client.md").read_text("utf-8")
    sources = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(sources) == 3
    (tmp_path / "speech.wav").write_bytes(short.read_bytes())
    said = []
    for number, source in enumerate(sources):
        assert "127.0.0.1:50051" in source and len(source.splitlines()) <= 20
        path = tmp_path / f"{number}.py"
        path.write_text(source.replace(":50051", f":{server.grpc_port}"))
        said.append(run(server, path, server_option=False))
    assert len(list(tmp_path.glob("*.jpg"))) == 75
    assert re.search(r"stopped after [\d.]+ s", said[1])
    assert said[2] == "[(75, 3.0), (75, 3.0)]\n"


def test_the_page_names_what_the_package_has():
    page = (lab.ROOT / "docs/client.md").read_text("utf-8")
    for name in lipcast_client.__all__:
        kind = getattr(lipcast_client, name)
        if isinstance(kind, type) and issubclass(kind, lipcast_client.LipcastError):
            assert f"`{name}`" in page, name
    for kind in (lipcast_client.Client, lipcast_client.Session):
        for name in vars(kind):
            if not name.startswith("_") and name not in ("opened", "request_key_frame"):
                assert re.search(rf"\b{name}\b", page), name


def test_every_example_is_named_in_its_readme_and_run_here():
    text = (EXAMPLES / "README.md").read_text()
    here = (lab.ROOT / "tests/test_client_examples.py").read_text()
    for path in EXAMPLES.glob("*.py"):
        assert f"`{path.name}`" in text and f'"{path.name}"' in here
