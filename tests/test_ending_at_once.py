"""What ends at once, and with it the program that speaks text. docs/cli.md, exit codes."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path


from tests import lab
from tests.served import fetch, serving, wait_until

SPEAKS = "#!/bin/sh\nsleep 100 & echo $$ > pid.new; mv pid.new pid; wait\n"
SPEAKS_THOUGH_TOLD_TO_END = SPEAKS.replace("sleep", "trap '' TERM; sleep", 1)
SPEAK_UPGRADE = (
    b"GET /v1/speak HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@contextlib.contextmanager
def busy_speaker(folder, script=SPEAKS):
    """A server, its answer to a text that its program is busy with, and what lives of the program."""
    program = folder / "say.sh"
    program.write_text(script.replace("\n", f"\ncd {folder}\n", 1))
    program.chmod(0o755)
    body = json.dumps({"text": "a"}).encode()
    headers = {"Content-Type": "application/json"}

    def runs():  # a zombie is dead, and whether it is buried is not ours
        group = (folder / "pid").read_text().strip()
        found = set()
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):  # it has ended
                state, _, its_group = stat.read_text().rpartition(")")[2].split()[:3]
                if its_group == group and state != "Z":
                    found.add(stat.parent.name)
        return found

    with (
        serving("--set", f"say.command={program}") as own,
        ThreadPoolExecutor(1) as pool,
    ):
        asked = pool.submit(fetch, own, "/v1/say", "POST", headers, body)
        assert wait_until(lambda: (folder / "pid").is_file())
        assert wait_until(lambda: len(runs()) == 2)  # its mv may be a moment longer
        try:
            yield own, asked, runs
        finally:
            for number in runs():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(number), signal.SIGKILL)


def insisted(process):
    """Signals until it has ended: from the second one half a second on it must."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    return process.poll() is not None


def test_a_program_that_speaks_ends_with_the_server(tmp_path):
    """It has ten seconds otherwise; what it started ends with it."""
    with busy_speaker(tmp_path) as (own, asked, runs):
        own.process.terminate()
        assert own.process.wait(timeout=8) == 0
        with contextlib.suppress(OSError, http.client.HTTPException):  # it hung up
            assert asked.result()[0] == 503
        assert wait_until(lambda: not runs())


def test_a_program_that_speaks_ends_with_a_server_that_ends_at_once(tmp_path):
    """By signals that come again and again: its whole group. Nothing is said of a file: there is none."""
    with busy_speaker(tmp_path, SPEAKS_THOUGH_TOLD_TO_END) as (own, _, runs):
        # A drain would wait for nobody here: a stream that is open holds it.
        with socket.create_connection(("127.0.0.1", own.http_port)) as held:
            held.sendall(SPEAK_UPGRADE)
            assert b" 101 " in held.recv(1000)
            assert wait_until(lambda: insisted(own.process))
        assert own.process.returncode == 130
        assert own.process.stderr.read().endswith("lipcast: ended at once\n")
        assert wait_until(lambda: not runs())


def test_a_program_that_speaks_ends_with_a_server_that_crashes(tmp_path):
    with busy_speaker(tmp_path) as (own, _, runs):
        own.process.kill()
        own.process.wait()
        program = (tmp_path / "pid").read_text().strip()
        assert wait_until(lambda: program not in runs())


def test_a_render_that_ends_at_once_says_what_it_may_leave(tiny, tmp_path):
    """Held by frame hashes that nobody reads, once its film has begun."""
    sound = lab.write_wav(tmp_path / "a.wav", lab.speech_like(1))
    os.mkfifo(tmp_path / "hashes")
    process = subprocess.Popen(
        [lab.BINARY, "render", "--avatar", tiny, sound, "-o", tmp_path / "a.mp4"]
        + ["--frame-hashes", tmp_path / "hashes"],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert wait_until(lambda: list(tmp_path.glob(".lipcast-*.part")), 30)
        assert wait_until(lambda: insisted(process))
        said = process.stderr.read().splitlines()[-1]
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 130
    assert said.startswith("lipcast: ended at once; an unfinished file (.lipcast-")
    assert not (tmp_path / "a.mp4").exists()
