"""Clients behind a slow network, and clients that say a wrong rate."""

import base64
import os
import socket
import struct
import threading
import time

from tests.served import frames_of


class ThinSocket:
    """A WebSocket client of bare sockets: small buffers, and a rate at which it reads."""

    def __init__(self, port):
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 128 << 10)
        self.socket.settimeout(30)
        self.socket.connect(("127.0.0.1", port))
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET /v1/speak HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        self.unread = b""
        while b"\r\n\r\n" not in self.unread:
            self.unread += self.socket.recv(1 << 16)
        head, self.unread = self.unread.split(b"\r\n\r\n", 1)
        assert b" 101 " in head, head

    def send(self, data, kind=0x82):
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))
        assert len(data) < 126
        self.socket.sendall(bytes([kind, 0x80 | len(data)]) + mask + masked)

    def read(self, limit):
        """Up to `limit` bytes from the network; the messages that are whole by now."""
        data = self.socket.recv(limit)
        assert data, "the server closed the connection"
        self.unread += data
        messages, at = [], 0
        while len(self.unread) >= at + 10:
            size, begin = self.unread[at + 1], at + 2
            if size == 126:
                size, begin = struct.unpack_from(">H", self.unread, begin)[0], begin + 2
            elif size == 127:
                size, begin = struct.unpack_from(">Q", self.unread, begin)[0], begin + 8
            if len(self.unread) < begin + size:
                break
            if self.unread[at] == 0x82:
                messages.append(self.unread[begin : begin + size])
            elif self.unread[at] == 0x89:  # a ping wants its pong
                self.send(self.unread[begin : begin + size], 0x8A)
            at = begin + size
        self.unread = self.unread[at:]
        return messages


def test_the_delay_of_a_reader_that_was_slow_is_gone_when_it_is_fast_again(
    server, wire
):
    """Case 76: at 0.8 of the stream's bytes the delay stays bounded, and does not stay."""
    messages, _ = wire
    client = ThinSocket(server.http_port)
    opening = messages.OpenSession(avatar="demo")
    client.send(messages.SpeakRequest(open=opening).SerializeToString())
    began, size = None, 0
    frames = []

    def take(limit):
        nonlocal began, size
        before = len(client.unread)
        found = client.read(limit)
        size += sum(map(len, found)) + len(client.unread) - before
        for response in map(messages.SpeakResponse.FromString, found):
            if response.WhichOneof("event") == "frame":
                began = began or time.monotonic()
                frames.append((time.monotonic() - began, response.frame))

    def behind():
        """Frames that the stream is ahead of what was read."""
        return (time.monotonic() - began) * 25 - frames[-1][1].index

    while len(frames) < 50:
        take(1 << 16)
    rate = 0.8 * 25 * size / len(frames)  # of the stream's own bytes a second
    start, worst = time.monotonic(), 0
    size = 0
    while time.monotonic() - start < 20:
        if size < rate * (time.monotonic() - start):
            take(1 << 14)
        else:
            time.sleep(0.002)
        worst = max(worst, behind())
    slow = len(frames)
    dropped = sum(frame.repeated for _, frame in frames)
    assert 25 < worst < 5 * 25, worst
    assert dropped > 0
    until = time.monotonic() + 10
    while (behind() > 25 or len(frames) < slow + 50) and time.monotonic() < until:
        take(1 << 16)
    assert behind() <= 25, behind()
    for _ in range(3):
        while len(frames) < slow + 100:
            take(1 << 16)
        slow = len(frames)
    assert any(frame.picture for _, frame in frames[-100:])
    assert [frame.index for _, frame in frames] == list(range(len(frames)))
    client.socket.close()


def test_sound_at_another_rate_than_declared_is_said(server, wire):
    """Case 4: 48 kHz sent as 24 kHz, in pieces of 20 ms by the clock."""
    messages, services = wire
    told = threading.Event()

    def paced():
        video = messages.VideoFormat(
            width=64, height=64
        )  # little to do beside the clock
        opening = messages.OpenSession(avatar="demo", video=video)
        opening.audio.rate_hz = 24000
        yield messages.SpeakRequest(open=opening)
        start, sent = time.monotonic(), 0
        # It takes eight even seconds in a row: on a busy machine they may come late.
        while not told.is_set() and sent < 90 * 50:
            chunk = messages.AudioChunk(utterance=1, data=bytes(2 * 960))
            yield messages.SpeakRequest(audio=chunk)
            sent += 1
            time.sleep(max(0, start + sent * 0.02 - time.monotonic()))
        yield messages.SpeakRequest(clear=messages.ClearSpeech(request=1))
        yield messages.SpeakRequest(close=messages.CloseSession())

    answers = []
    for answer in services.SpeechStub(server.channel).Speak(paced(), timeout=120):
        answers.append(answer)
        if "times the rate of its format" in answer.warning.message:
            told.set()
    said = [a.warning.message for a in answers if a.HasField("warning")]
    about_rate = [line for line in said if "times the rate of its format" in line]
    assert len(about_rate) == 1, said
    assert "24000 Hz, 1 channel)" in about_rate[0]
    factor = float(about_rate[0].split(" at ")[1].split()[0])
    assert 1.8 < factor < 2.2
    assert frames_of(answers)
