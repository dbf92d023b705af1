"""The live server, driven by gRPC clients over loopback: the same frames, in time, and none lost."""

import hashlib
import json
import os
import queue
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import grpc
import pytest

from tests import lab
from tests.markers import avatars
from tests.served import frames_of, pcm, requests_of, serving, speak, wait_until


@pytest.mark.parametrize("piece", [640, 37, 20480, 1 << 20])
def test_streamed_frames_are_the_rendered_ones_byte_for_byte(
    server, wire, rendered, piece
):
    audio, rate, hashes = rendered
    found = speak(server, wire, requests_of(wire, audio, rate, piece, file_pace=True))
    frames = frames_of(found)
    assert [hashlib.sha256(f.picture).hexdigest() for f in frames] == hashes
    assert b"".join(f.sound for f in frames) == audio
    kinds = [r.WhichOneof("event") for r in found]
    assert (
        kinds[0] == "opened" and kinds.count("started") == kinds.count("finished") == 1
    )
    finished = next(r.finished for r in found if r.WhichOneof("event") == "finished")
    assert finished.played_samples == len(audio) // 2 and not finished.interrupted


def test_a_live_stream_keeps_its_time_and_loses_no_sound(server, wire):
    audio, rate = pcm()
    audio = audio[: rate * 4]
    messages, services = wire

    def requests():
        yield from requests_of(wire, audio, rate, 3200)

    start = time.monotonic()
    frames, arrival = [], []
    for response in services.SpeechStub(server.channel).Speak(requests(), timeout=60):
        if response.WhichOneof("event") == "frame":
            frames.append(response.frame)
            arrival.append(time.monotonic() - start)
    assert [f.index for f in frames] == list(range(len(frames)))
    assert all(len(f.sound) == rate // 25 * 2 for f in frames[:-1])
    said = b"".join(f.sound for f in frames if f.utterance == 1)
    assert said[: len(audio)] == audio
    # Not faster than real time; how much later is the machine's business.
    assert arrival[-1] >= (len(frames) - 2) / 25
    assert any(f.speaking for f in frames)


def test_clear_answers_with_the_position_and_stops_the_utterance(server, wire):
    messages, services = wire
    audio, rate = pcm()
    outbox = queue.Queue()
    call = services.SpeechStub(server.channel).Speak(iter(outbox.get, None), timeout=60)
    for request in list(requests_of(wire, audio[: rate * 8], rate, 1 << 20))[:2]:
        outbox.put(request)
    seen, after = [], []
    cleared = None
    for response in call:
        kind = response.WhichOneof("event")
        if kind == "frame":
            seen.append(response.frame)
            if cleared is None and sum(f.utterance == 1 for f in seen) == 10:
                outbox.put(messages.SpeakRequest(clear=messages.ClearSpeech(request=7)))
            if cleared is not None:
                after.append(response.frame)
                if len(after) == 10:
                    outbox.put(messages.SpeakRequest(close=messages.CloseSession()))
        elif kind == "cleared":
            cleared = response.cleared
        elif kind == "finished":
            assert response.finished.interrupted
            assert response.finished.played_samples == cleared.played_samples
    assert cleared.request == 7 and cleared.utterance == 1
    assert cleared.played_samples >= 10 * rate // 25
    assert sum(f.utterance == 1 for f in after) <= 1
    page = server.page("/metrics")[1]
    for name in ("clear", "first_frame", "frame"):
        assert re.search(rf"^lipcast_{name}_seconds_count [1-9]", page, re.MULTILINE), (
            page
        )
    outbox.put(None)


def held_open(requests, release):
    """The requests, and then none until `release` is set: the client stays."""
    yield from requests
    release.wait(timeout=30)


def refused(server, wire, requests):
    with pytest.raises(grpc.RpcError) as error:
        speak(server, wire, requests)
    return error.value.code(), error.value.details()


def test_wrong_requests_get_a_status_that_says_what_and_where(server, wire):
    messages, _ = wire
    open_with = lambda **fields: iter(  # noqa: E731
        [messages.SpeakRequest(open=messages.OpenSession(**fields))]
    )
    assert (
        refused(server, wire, open_with(avatar="nobody"))[0]
        == grpc.StatusCode.NOT_FOUND
    )
    for name in ["../demo", "/etc", "demo/../demo", "a\0b"]:
        code, _ = refused(server, wire, open_with(avatar=name))
        assert code in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT)
    code, text = refused(
        server, wire, open_with(avatar="demo", audio=messages.AudioFormat(rate_hz=4000))
    )
    assert code == grpc.StatusCode.INVALID_ARGUMENT and "4000" in text
    code, text = refused(server, wire, open_with(avatar="demo", start_frame=-1))
    assert code == grpc.StatusCode.INVALID_ARGUMENT and "start_frame" in text
    code, text = refused(server, wire, iter([]))
    assert code == grpc.StatusCode.INVALID_ARGUMENT and "open" in text


def test_avatars_are_listed_loaded_and_let_go_of(server, wire):
    messages, services = wire
    stub = services.AvatarsStub(server.channel)
    listed = {
        a.name: a for a in stub.ListAvatars(messages.ListAvatarsRequest()).avatars
    }
    assert listed["demo"].loaded and listed["demo"].width == 1280
    assert listed["demo"].provider == "cpu"
    stub.UnloadAvatar(messages.UnloadAvatarRequest(name="demo"))
    again = stub.LoadAvatar(messages.LoadAvatarRequest(name="demo"))
    assert not again.was_loaded and again.avatar.loaded
    assert stub.ReplaceAvatar(messages.ReplaceAvatarRequest(name="demo")).avatar.loaded


def test_health_metrics_and_information_are_true(server, wire):
    messages, services = wire
    assert server.page("/healthz") == (200, "ok\n")
    assert server.page("/readyz")[0] == 200
    assert server.page("/nothing")[0] == 404
    assert "lipcast_sessions_opened_total" in server.page("/metrics")[1]
    info = services.ServerStub(server.channel).GetInfo(messages.GetInfoRequest())
    assert info.workers >= 1 and "ONNX" in info.backend
    assert info.capacity.sessions == 0


def test_the_session_over_the_limit_is_refused_and_the_first_lives_on(wire):
    messages, services = wire
    with serving("--max-sessions", "1") as server:
        stub = services.SpeechStub(server.channel)
        hold = [messages.SpeakRequest(open=messages.OpenSession(avatar="demo"))]
        release = threading.Event()
        first = stub.Speak(held_open(hold, release), timeout=30)
        assert next(first).WhichOneof("event") == "opened"
        code, text = refused(server, wire, iter(hold))
        assert code == grpc.StatusCode.RESOURCE_EXHAUSTED and "limit" in text
        frames = []
        for response in first:
            frames += frames_of([response])
            if len(frames) > 10:
                release.set()
        assert len(frames) > 10


def test_sigterm_drains_and_ends_with_0(wire):
    messages, services = wire
    audio, rate = pcm()
    with serving() as server:
        stub = services.SpeechStub(server.channel)
        call = stub.Speak(requests_of(wire, audio[: rate * 4], rate, 3200), timeout=60)
        assert next(call).WhichOneof("event") == "opened"
        server.process.send_signal(signal.SIGTERM)
        assert wait_until(lambda: server.page("/readyz")[0] == 503)
        rest = list(call)
        assert any(r.WhichOneof("event") == "finished" for r in rest)
        assert server.process.wait(timeout=30) == 0


def test_two_signals_at_once_drain_and_a_later_one_ends_at_once(wire):
    messages, services = wire
    held = queue.SimpleQueue()  # never answers again: the session stays open
    held.put(messages.SpeakRequest(open=messages.OpenSession(avatar="demo")))
    with serving() as server:
        call = services.SpeechStub(server.channel).Speak(iter(held.get, None))
        assert next(call).WhichOneof("event") == "opened"
        for number in (signal.SIGTERM, signal.SIGINT):
            server.process.send_signal(number)
        assert wait_until(lambda: server.page("/readyz")[0] == 503)
        with pytest.raises(subprocess.TimeoutExpired):
            server.process.wait(timeout=0.7)  # later than half a second: another wish
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(timeout=10) == 130
        held.put(None)
        assert "ended at once" in server.process.stderr.read()


def test_a_picture_that_no_message_holds_is_refused_with_its_size_and_the_limit(wire):
    """Encoded sizes are known once there is a picture; the call must not break without a word."""
    messages, services = wire
    audio, rate = pcm()
    audio = audio[: rate * 2]
    with serving("--set", "limits.message_bytes=65536") as server:
        for name in ("PNG", "RGBA"):
            kind = getattr(messages, f"PICTURE_FORMAT_{name}")
            requests = requests_of(
                wire, audio, rate, 3200, video=messages.VideoFormat(format=kind)
            )
            with pytest.raises(grpc.RpcError) as refused:
                list(services.SpeechStub(server.channel).Speak(requests, timeout=60))
            assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT, name
            assert re.search(
                r"video = \d+x\d+ as (PNG|raw pixels): a picture has \d+ bytes, "
                r"want at most \d+ in a message of limits.message_bytes",
                refused.value.details(),
            )
        fits = requests_of(
            wire, audio, rate, 3200, video=messages.VideoFormat(width=64, height=64)
        )
        assert frames_of(speak(server, wire, fits))


def insist(process, number):
    """Signals until the process has ended: from the second one half a second on it must."""

    def ended():
        if process.poll() is None:
            process.send_signal(number)
        return process.poll() is not None

    return wait_until(ended)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_later_signal_ends_a_start_that_hangs(tmp_path, number):
    """A configuration that nobody writes stands for whatever may hold a start."""
    pipe = tmp_path / "lipcast.yaml"
    os.mkfifo(pipe)
    process = subprocess.Popen(
        [lab.BINARY, "serve", "--config", pipe], stderr=subprocess.PIPE, text=True
    )
    writer = []

    def reads():
        try:
            writer.append(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
        except OSError:  # nobody has opened it yet
            return False
        return True

    try:
        assert wait_until(reads, 30)  # so its handlers stand
        assert insist(process, number)
        assert process.returncode == 130
        assert "ended at once" in process.stderr.read()
    finally:
        process.kill()
        process.communicate()
        for one in writer:
            os.close(one)


def test_a_hundred_signals_in_half_a_second_are_one_wish_and_lose_no_session(wire):
    """They interrupt each other's handler and every system call, and the drain goes on."""
    messages, services = wire
    audio, rate = pcm()
    with serving() as server:
        stub = services.SpeechStub(server.channel)
        call = stub.Speak(requests_of(wire, audio[: rate * 2], rate, 3200), timeout=60)
        assert next(call).WhichOneof("event") == "opened"
        until = time.monotonic() + 0.2
        for i in range(100):
            if time.monotonic() > until:
                break
            server.process.send_signal((signal.SIGTERM, signal.SIGINT)[i % 2])
        assert any(r.WhichOneof("event") == "finished" for r in call)
        assert server.process.wait(timeout=30) == 0


def test_a_client_that_is_killed_and_garbage_on_both_ports_harm_nobody(server, wire):
    for port in (server.grpc_port, server.http_port):
        for junk in (
            b"\0" * 100,
            b"GET",
            os.urandom(4096),
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ):
            with socket.create_connection(("127.0.0.1", port), timeout=5) as raw:
                raw.sendall(junk)
    idle = [
        socket.create_connection(("127.0.0.1", server.http_port)) for _ in range(50)
    ]
    _, services = wire
    audio, rate = pcm()
    call = services.SpeechStub(server.channel).Speak(
        requests_of(wire, audio, rate, 3200), timeout=60
    )
    next(call)
    call.cancel()
    assert server.page("/healthz")[0] == 200
    for one in idle:
        one.close()
    audio = audio[: rate * 2]
    assert frames_of(
        speak(server, wire, requests_of(wire, audio, rate, 6400, file_pace=True))
    )


def test_a_port_in_use_and_a_wrong_flag_are_one_line(server):
    taken = str(server.grpc_port)
    for options, code in ((["--port", taken], 5), (["--set", "nonsense=1"], 2)):
        done = subprocess.run(
            [lab.BINARY, "serve", "--http-port", "0", *options],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=lab.ROOT,
        )
        assert done.returncode == code, done.stderr
        errors = [line for line in done.stderr.splitlines() if " info " not in line]
        assert len(errors) == 1 and errors[0].startswith("lipcast: "), done.stderr


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """The same avatar as folders and as a .zip, in a folder of a person's own naming."""
    place = tmp_path_factory.mktemp("my avatars ü")
    for folder in ("anna", "other/anna", "a,b", "empty/.keep"):
        avatars.make_avatar(place / folder, frames=5)
    shutil.make_archive(str(place / "ben v2"), "zip", place / "anna")
    return place


@pytest.mark.parametrize(
    ("given", "known"),
    [
        (["PLACE/anna"], {"anna"}),
        (["PLACE/other/anna/", "PLACE/ben v2.zip", "demo"], {"anna", "ben v2", "demo"}),
        (["PLACE/anna", "PLACE/anna"], {"anna"}),
    ],
)
def test_avatars_are_served_from_where_they_are(places, given, known):
    options = [
        part.replace("PLACE", str(places)) for one in given for part in ("-a", one)
    ]
    with serving(*options, preload=None) as one:
        listed = json.loads(one.page("/v1/avatars")[1])["avatars"]
        assert {avatar["name"] for avatar in listed if avatar["loaded"]} == known
        assert "a,b" not in {avatar["name"] for avatar in listed}  # its neighbour
    assert "error" not in one.log, one.log


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["-a", "PLACE/nobody"], 3, "my avatars ü0?/nobody does not exist here"),
        (["-a", "PLACE/empty"], 3, "has no avatar.json: want an avatar's folder"),
        (
            ["-a", "nobody"],
            3,
            "avatar 'nobody': not found; looked for .*avatars/nobody",
        ),
        (["-a", "PLACE/a,b"], 3, "a,b: want a name without a comma"),
        (
            ["-a", "PLACE/anna", "-a", "PLACE/other/anna"],
            3,
            "another 'anna', .*want one",
        ),
        (["-a", "PLACE/anna", "--preload", "demo"], 2, "--avatar excludes --preload"),
    ],
)
def test_a_wrong_avatar_ends_the_start_with_one_line(places, options, code, said):
    options = [option.replace("PLACE", str(places)) for option in options]
    run = lab.lipcast("serve", "--port", "0", "--http-port", "0", *options, ok=False)
    assert run.code == code, run.stderr
    lab.refused(run, said)


def test_print_config_can_be_read_back(tmp_path):
    printed = subprocess.run(
        [lab.BINARY, "serve", "--print-config", "--host", "127.0.0.1"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    path = tmp_path / "lipcast.yaml"
    path.write_text(printed)
    checked = subprocess.run(
        [lab.BINARY, "serve", "--config", str(path), "--check-config"]
    )
    assert checked.returncode == 0


def test_a_session_that_says_nothing_or_runs_too_long_is_ended(wire):
    messages, services = wire
    for setting in ("limits.idle_seconds=1", "limits.session_seconds=1"):
        with serving("--set", setting) as server:
            stub = services.SpeechStub(server.channel)
            hold = [messages.SpeakRequest(open=messages.OpenSession(avatar="demo"))]
            release = threading.Event()
            with pytest.raises(grpc.RpcError) as error:
                list(stub.Speak(held_open(hold, release), timeout=30))
            release.set()
            assert error.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
            assert "Deadline Exceeded" not in error.value.details()
