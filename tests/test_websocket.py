"""Sessions over a WebSocket: the same messages and the same bytes as over gRPC."""

import hashlib
import socket

import pytest
from google.protobuf import json_format
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.served import frames_of, pcm, requests_of, serving, wait_until


def joined(server, **options):
    return connect(
        f"ws://127.0.0.1:{server.http_port}/v1/speak", max_size=100 << 20, **options
    )


def answers(ws, messages):
    """Everything until the close, and its code and reason."""
    found = []
    while True:
        try:
            found.append(messages.SpeakResponse.FromString(ws.recv(timeout=60)))
        except ConnectionClosed as closed:
            return found, closed.rcvd.code, closed.rcvd.reason


@pytest.mark.parametrize("piece", [640, 37, 20480, 1 << 20])
@pytest.mark.parametrize("text", [False, True])
def test_frames_are_the_rendered_ones_byte_for_byte(
    server, wire, rendered, piece, text
):
    messages, _ = wire
    audio, rate, hashes = rendered
    if text and piece == 37:
        audio, hashes = audio[: 37 * 400], None
    with joined(server) as ws:
        for request in requests_of(wire, audio, rate, piece, file_pace=True):
            ws.send(
                json_format.MessageToJson(request)
                if text
                else request.SerializeToString()
            )
        found, code, _ = answers(ws, messages)
    frames = frames_of(found)
    assert code == 1000
    assert b"".join(f.sound for f in frames) == audio
    if hashes:
        assert [hashlib.sha256(f.picture).hexdigest() for f in frames] == hashes
    kinds = [r.WhichOneof("event") for r in found]
    assert (
        kinds[0] == "opened" and kinds.count("started") == kinds.count("finished") == 1
    )


@pytest.mark.parametrize(
    "send, says",
    [
        (b"\xff\xff\xff", "no SpeakRequest"),
        ("{not json", "no SpeakRequest"),
        ('{"clear": {}}', "want open"),
        ('{"open": {"avatar": "nobody"}}', "nobody"),
        ('{"open": {"avatar": "../demo"}}', "demo"),
        ('{"open": {"avatar": "demo", "audio": {"rateHz": 7}}}', "7"),
        ("", "no SpeakRequest"),
    ],
)
def test_what_is_wrong_closes_with_1008_and_its_reason(server, wire, send, says):
    with joined(server) as ws:
        ws.send(send)
        found, code, reason = answers(ws, wire[0])
    assert not found and code == 1008 and says in reason


def test_a_page_of_another_origin_is_refused_and_ones_own_is_not(server):
    with pytest.raises(InvalidStatus) as refused:
        joined(server, origin="https://evil.example")
    assert refused.value.response.status_code == 403
    with joined(server, origin=f"http://127.0.0.1:{server.http_port}") as ws:
        assert ws.protocol.state.name == "OPEN"


def test_a_socket_that_breaks_ends_its_session_and_nobody_elses(server, wire):
    messages, services = wire
    opening = messages.SpeakRequest(open=messages.OpenSession(avatar="demo"))
    stub = services.ServerStub(server.channel)
    for _ in range(3):
        with joined(server) as ws:
            ws.send(opening.SerializeToString())
            ws.recv(timeout=60)
            ws.socket.shutdown(socket.SHUT_RDWR)
        assert wait_until(
            lambda: stub.GetInfo(messages.GetInfoRequest()).capacity.sessions == 0
        )


def test_the_end_of_the_server_closes_its_sockets(wire):
    messages, _ = wire
    opening = messages.SpeakRequest(open=messages.OpenSession(avatar="demo"))
    with serving("--set", "limits.drain_seconds=1") as server:
        with joined(server) as ws:
            ws.send(opening.SerializeToString())
            ws.recv(timeout=60)
            server.process.terminate()
            _, code, reason = answers(ws, messages)
        assert code == 1008 and "shutting down" in reason
        assert server.process.wait(timeout=20) == 0


def timer_of(port, peer_port):
    """The kernel's timer of the server's side of a connection; 2: keepalive."""
    for line in open("/proc/net/tcp"):
        fields = line.split()
        if fields[1:3] == [f"0100007F:{port:04X}", f"0100007F:{peer_port:04X}"]:
            return int(fields[5].split(":")[0])
    return None  # the table is not read in one piece


def test_a_peer_that_is_gone_is_found_though_nobody_reads_or_writes(server, wire):
    messages, _ = wire
    opening = messages.SpeakRequest(
        open=messages.OpenSession(avatar="demo", file_pace=True)
    )
    with joined(server) as ws:
        ws.send(opening.SerializeToString())
        ws.recv(timeout=60)
        peer_port = ws.socket.getsockname()[1]
        assert wait_until(lambda: timer_of(server.http_port, peer_port) == 2)


def test_a_session_that_ended_well_leaves_nothing_behind(wire):
    messages, services = wire
    audio, rate = pcm()
    with serving("--set", "limits.sessions=1") as own:
        stub = services.AvatarsStub(own.channel)

        def sessions_of_demo():
            (demo,) = stub.ListAvatars(messages.ListAvatarsRequest()).avatars
            return demo.stats.sessions

        for file_pace in (False, True):
            with joined(own) as ws:
                for request in requests_of(
                    wire, audio[:rate], rate, 4096, file_pace=file_pace
                ):
                    ws.send(request.SerializeToString())
                _, code, _ = answers(ws, messages)
                assert code == 1000
            assert wait_until(lambda: sessions_of_demo() == 0)
