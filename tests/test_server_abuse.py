"""Clients that misbehave: whatever they do, the server serves on, forgets them and keeps its memory.

LIPCAST_ABUSE_STEPS (2000) and LIPCAST_ABUSE_SESSIONS (200) set how much; the full size is 10000 and
1000. LIPCAST_BIN may be a build with the address sanitizer, which ends with a code of its own when it
has found something: memory is then only bounded, not flat.
"""

import contextlib
import os
import queue
import random
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from markers import avatars
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.sync.client import connect

from tests import lab
from tests.served import frames_of, pcm, requests_of, serving, speak, wait_until

STEPS = int(os.environ.get("LIPCAST_ABUSE_STEPS", "2000"))
SESSIONS = int(os.environ.get("LIPCAST_ABUSE_SESSIONS", "200"))
SANITIZED = b"__asan_init" in lab.BINARY.read_bytes() if lab.BINARY.is_file() else False
ALLOWED = {
    grpc.StatusCode.OK,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}
H2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"


@pytest.fixture(scope="module")
def abused(tmp_path_factory):
    folder = tmp_path_factory.mktemp("abused")
    options = {"frames": 10, "size": (64, 64), "inner": 32, "border": 2}
    avatars.make_avatar(folder / "small", name="small", model="M2", **options)
    compat = free_port()
    with serving(
        *("--avatars", folder, "--compat-port", str(compat)),
        *("--set", "limits.opens_per_second=0"),
        preload="small",
    ) as one:
        one.compat_port = compat
        yield one
        one.process.terminate()
        assert one.process.wait(timeout=60) == 0, one.process.stderr.read()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def serves(server, wire):
    """It answers everybody, and nobody's session is left."""
    assert server.process.poll() is None
    audio, rate = pcm()
    requests = requests_of(
        wire, audio[: rate * 2], rate, 640, avatar="small", file_pace=True
    )
    assert len(frames_of(speak(server, wire, requests))) == 25
    assert server.page("/healthz") == (200, "ok\n")
    assert wait_until(lambda: server.metric("sessions") == 0, limit_s=60)
    assert server.metric("escaped_exceptions_total") == 0


def resident_mb(server):
    text = Path(f"/proc/{server.process.pid}/statm").read_text()
    return int(text.split()[1]) * resource.getpagesize() / 2**20


class GrpcClient:
    """A session whose reader reads, reads slowly or does not read at all, if one is let in."""

    def __init__(self, server, wire, opening, pace):
        self.outbox = queue.Queue()
        self.outbox.put(opening)
        self.channel = grpc.insecure_channel(
            f"127.0.0.1:{server.grpc_port}",
            options=[("grpc.use_local_subchannel_pool", 1)],
        )
        self.call = wire[1].SpeechStub(self.channel).Speak(iter(self.outbox.get, None))
        self.over = threading.Event()
        self.reader = threading.Thread(target=self.read, args=(pace,))
        self.reader.start()

    def read(self, pace):
        with contextlib.suppress(grpc.RpcError):
            while pace is None and not self.over.wait(1):
                pass
            for _ in self.call:
                self.over.wait(pace or 0)

    def send(self, request):
        self.outbox.put(request)

    def leave(self, rudely):
        """Its status, if the call had one."""
        self.over.set()
        if rudely:
            self.channel.close()
        self.call.cancel()
        self.outbox.put(None)
        self.reader.join(timeout=60)
        assert not self.reader.is_alive()
        code = self.call.code()
        self.channel.close()
        assert code in ALLOWED, (code, self.call.details())


class SocketClient:
    def __init__(self, server, _, opening, pace):
        url = f"ws://127.0.0.1:{server.http_port}/v1/speak"
        self.socket = contextlib.ExitStack()
        opened = connect(url, max_size=100 << 20, close_timeout=1)
        self.ws = self.socket.enter_context(opened)
        self.pace = pace
        self.send(opening)

    def send(self, request):
        with contextlib.suppress(ConnectionClosed, TimeoutError):
            self.ws.send(request.SerializeToString())
            if self.pace == 0:
                while True:
                    self.ws.recv(timeout=0)

    def leave(self, rudely):
        if rudely:  # a reset, as from a machine that fell over
            linger = struct.pack("ii", 1, 0)
            with contextlib.suppress(OSError):  # the server has ended it
                self.ws.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self.ws.socket.close()
        with contextlib.suppress(WebSocketException, OSError):
            self.socket.close()
        if self.ws.protocol.close_rcvd is not None:
            assert self.ws.protocol.close_rcvd.code in (1000, 1008)


def walk(server, wire, seed, steps):
    messages, _ = wire
    rng = random.Random(seed)
    audio, rate = pcm()
    client, utterance = None, 1
    try:
        for _ in range(steps):
            if client is None:
                pace = rng.choice([0, 0, 0.1, None])
                # A reader that stops stops the writer of a file: one who does both would wait.
                file_pace = pace == 0 and rng.random() < 0.5
                opening = messages.OpenSession(avatar="small", file_pace=file_pace)
                opening.audio.rate_hz = rng.choice([rate, 8000, 48000])
                opening.video.format = rng.choice([1, 1, 4, 5, 6, 7])
                opening.video.fps.num, opening.video.fps.den = rng.choice(
                    [(25, 1), (60, 1), (30000, 1001)]
                )
                kind = rng.choice([GrpcClient, SocketClient])
                request = messages.SpeakRequest(open=opening)
                try:
                    client, utterance = kind(server, wire, request, pace), 1
                except InvalidStatus as refused:  # as RESOURCE_EXHAUSTED of gRPC
                    assert refused.response.status_code == 429
                continue
            what = rng.random()
            if what < 0.10:
                time.sleep(rng.random() * 0.3)  # frames are drawn meanwhile
            elif what < 0.60:
                piece = audio[: rng.randrange(20000)]
                chunk = messages.AudioChunk(utterance=utterance, data=piece)
                client.send(messages.SpeakRequest(audio=chunk))
            elif what < 0.75:
                end = messages.EndUtterance(utterance=utterance)
                client.send(messages.SpeakRequest(end=end))
                utterance += rng.random() < 0.95  # else audio after its end
            elif what < 0.90:
                clear = messages.ClearSpeech(request=rng.randrange(9))
                client.send(messages.SpeakRequest(clear=clear))
                utterance += 1
            elif what < 0.93:
                client.send(messages.SpeakRequest(close=messages.CloseSession()))
            elif what < 0.94:
                client.send(messages.SpeakRequest())
            else:
                client.leave(rudely=rng.random() < 0.5)
                client = None
    finally:
        if client is not None:
            client.leave(rudely=False)


def test_a_random_walk_of_eight_clients(abused, wire):
    """Cases 45 and 53: speaking, clearing, ending, leaving, at any moment and in any order."""
    serves(abused, wire)
    before, frames_before = resident_mb(abused), abused.metric("frames_total")
    with ThreadPoolExecutor(8) as pool:
        walks = [pool.submit(walk, abused, wire, seed, STEPS // 8) for seed in range(8)]
        for one in walks:
            one.result()
    serves(abused, wire)
    assert resident_mb(abused) < before + (1000 if SANITIZED else 200)
    frames = abused.metric("frames_total") - frames_before
    assert frames > STEPS / 10, "the walk drew next to nothing"
    print(f"{frames:.0f} frames in {STEPS} steps")


def test_memory_does_not_grow_with_sessions(abused, wire):
    """Case 55: less than 1 MB in a hundred sessions."""
    audio, rate = pcm()
    audio = audio[: rate * 2 // 5]

    def some(count):
        for i in range(count):
            live = i % 4 == 0
            requests = requests_of(
                wire, audio, rate, 1280, avatar="small", file_pace=not live
            )
            call = wire[1].SpeechStub(abused.channel).Speak(requests, timeout=60)
            if i % 5 == 0:
                next(call)
                call.cancel()
            else:
                assert frames_of(call)

    with ThreadPoolExecutor(4) as pool:
        for _ in pool.map(some, [SESSIONS // 4] * 4):  # what is kept for good
            pass
        serves(abused, wire)
        before = resident_mb(abused)
        for _ in pool.map(some, [SESSIONS // 4] * 4):
            pass
    serves(abused, wire)
    grown = resident_mb(abused) - before
    print(f"{grown:.2f} MB in {SESSIONS} sessions")
    # A page more or less in each of the allocator's arenas is no slope.
    assert grown < SESSIONS / 100 + 1 or SANITIZED


CLIENT = """
import sys, time, grpc
sys.path.insert(0, sys.argv[1])
from lipcast.v1 import lipcast_pb2 as m, lipcast_pb2_grpc as s
def requests():
    yield m.SpeakRequest(open=m.OpenSession(avatar="small"))
    for i in range(10**6):
        yield m.SpeakRequest(audio=m.AudioChunk(utterance=1, data=bytes(3200)))
        time.sleep(0.05)
for event in s.SpeechStub(grpc.insecure_channel(sys.argv[2])).Speak(requests()):
    print(event.WhichOneof("event"), flush=True)
"""


def test_a_client_that_is_killed_is_forgotten(abused, wire):
    stubs = Path(wire[0].__file__).parents[2]
    for _ in range(3):
        command = [sys.executable, "-c", CLIENT, stubs, f"127.0.0.1:{abused.grpc_port}"]
        client = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        for _ in range(20):
            assert client.stdout.readline()
        assert abused.metric("sessions") >= 1
        client.send_signal(signal.SIGKILL)
        client.communicate()
        assert wait_until(lambda: abused.metric("sessions") == 0)
    serves(abused, wire)


def test_garbage_on_every_port_and_sockets_that_say_nothing(abused, wire):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    ports = [abused.grpc_port, abused.http_port, abused.compat_port]
    rng = random.Random(4)
    beginnings = [
        b"",
        H2_PREFACE,
        b"GET /v1/speak HTTP/1.1\r\n",
        b"GET /v1/speak HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"POST /metrics HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"GET /" + b"a" * 100_000,
        b"\x16\x03\x01\x02\x00\x01\x00",  # TLS
    ]
    with contextlib.ExitStack() as half_open:
        for port in ports:
            for begin in beginnings:
                for junk in (b"", rng.randbytes(100), rng.randbytes(50_000)):
                    raw = socket.create_connection(("127.0.0.1", port), timeout=10)
                    half_open.enter_context(raw)
                    with contextlib.suppress(OSError):  # it has hung up
                        raw.sendall(begin + junk)
        serves(abused, wire)
        for i in range(min(1000, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 300)):
            raw = socket.create_connection(("127.0.0.1", ports[i % 3]), timeout=10)
            half_open.enter_context(raw)
        serves(abused, wire)
    serves(abused, wire)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_messages_over_the_limit_end_their_session_and_no_other(abused, wire, tmp_path):
    messages, _ = wire
    opening = messages.SpeakRequest(open=messages.OpenSession(avatar="small"))
    huge = messages.AudioChunk(utterance=1, data=bytes(200_000))
    requests = [opening, messages.SpeakRequest(audio=huge)]
    roots = ("--avatars", tmp_path)
    options = {"frames": 10, "size": (64, 64), "inner": 32, "border": 2}
    avatars.make_avatar(tmp_path / "small", name="small", **options)
    limit = ("--set", "limits.message_bytes=65536")
    with serving(*roots, *limit, preload="small") as server:
        with pytest.raises(grpc.RpcError) as error:
            speak(server, wire, iter(requests))
        assert error.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        with connect(f"ws://127.0.0.1:{server.http_port}/v1/speak") as ws:
            with pytest.raises(ConnectionClosed) as closed:
                for request in requests:
                    ws.send(request.SerializeToString())
                while True:
                    ws.recv(timeout=60)
            assert closed.value.rcvd is None or closed.value.rcvd.code == 1009
        serves(server, wire)
