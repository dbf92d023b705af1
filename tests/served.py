"""A server of its own on free ports, and what its clients say. Used by the tests of `lipcast serve`."""

import contextlib
import http.client
import re
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import grpc
import soundfile
from google.rpc import error_details_pb2, status_pb2

from tests import lab

SPEECH = lab.ROOT / "avatars/demo/speech.wav"
TOKEN, OTHER = "right-token-0123456789", "wrong-token-0123456789"


class Served:
    def __init__(self, process, grpc_port, http_port, greeting):
        self.process, self.greeting = process, greeting
        self.log = ""  # what it wrote to standard error, once it has ended
        self.grpc_port, self.http_port = grpc_port, http_port
        self.channel = grpc.insecure_channel(
            f"127.0.0.1:{grpc_port}",
            options=[("grpc.max_receive_message_length", 100 << 20)],
        )

    def page(self, path):
        url = f"http://127.0.0.1:{self.http_port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metric(self, name):
        """The sum over the series of one metric; 0 before its first value."""
        page = self.page("/metrics")[1]
        pattern = rf"^lipcast_{name}(?:{{[^}}]*}})? (\S+)$"
        return sum(map(float, re.findall(pattern, page, re.MULTILINE)))

    def waited_s(self):
        """How long its threads have been ready to run and did not, as others had the CPU."""
        waited = 0
        for stat in Path(f"/proc/{self.process.pid}/task").glob("*/schedstat"):
            with contextlib.suppress(OSError):  # a thread that has ended
                waited += int(stat.read_text().split()[1])
        return waited / 1e9

    @contextlib.contextmanager
    def nobody_late(self):
        """No frame of the block is late, but for what the machine kept from the server: each 160 ms
        (a stream's reserve of four frames) that its threads waited for the CPU excuse some."""
        late, waited = self.metric("frames_late_total"), self.waited_s()
        yield
        late = self.metric("frames_late_total") - late
        waited = self.waited_s() - waited
        assert late == 0 or waited > 0.16, f"{late} frames late, waited {waited:.3f} s"


@contextlib.contextmanager
def serving(*options, preload="demo", port=0, http_port=0):
    command = [lab.BINARY, "serve", "--port", str(port)]
    command += ["--http-port", str(http_port), *options]
    command += ["--preload", preload] if preload else ["--set", "avatars.preload="]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=lab.ROOT
    )
    served, lines = None, []
    try:
        last = "avatar " if preload else "http "
        while not any(line.startswith(last) for line in lines):
            line = process.stdout.readline()
            assert line, process.stderr.read()
            lines.append(line)
        text = "".join(lines)
        ports = re.search(
            r"grpc  127.0.0.1:(\d+).*\nhttp  https?://127.0.0.1:(\d+)", text
        )
        served = Served(process, int(ports[1]), int(ports[2]), text)
        yield served
    finally:
        process.terminate()
        try:
            log = process.communicate(timeout=10)[1]
            if served:
                served.log = log
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def fetch(server, path, method="GET", headers=(), body=None, context=None):
    """Code, headers and body, whatever they are."""
    if context is None:
        link = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=20)
    else:
        link = http.client.HTTPSConnection(
            "127.0.0.1", server.http_port, timeout=20, context=context
        )
    try:
        link.request(method, path, body=body, headers=dict(headers))
        answer = link.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        link.close()


def token_file(folder, *tokens):
    path = folder / "tokens"
    path.write_text("# of the tests\n" + "".join(f"{one}\n" for one in tokens))
    path.chmod(0o600)
    return path


def detail_of(error, kind):
    """The google.rpc message of that kind in the details of a failed call, or None."""
    for key, value in error.trailing_metadata():
        if key == "grpc-status-details-bin":
            for detail in status_pb2.Status.FromString(value).details:
                found = kind()
                if detail.Unpack(found):
                    return found
    return None


def retry_after_s(error):
    retry = detail_of(error, error_details_pb2.RetryInfo)
    return None if retry is None else retry.retry_delay.seconds


def reason_of(error):
    info = detail_of(error, error_details_pb2.ErrorInfo)
    assert info.domain == "lipcast"
    return info.reason


def pcm():
    samples, rate = soundfile.read(SPEECH, dtype="int16")
    return samples.tobytes(), rate


def requests_of(wire, audio, rate, piece, /, avatar="demo", **settings):
    messages, _ = wire
    opening = messages.OpenSession(avatar=avatar, **settings)
    opening.audio.rate_hz = rate
    yield messages.SpeakRequest(open=opening)
    for at in range(0, len(audio), piece):
        chunk = messages.AudioChunk(utterance=1, data=audio[at : at + piece])
        yield messages.SpeakRequest(audio=chunk)
    yield messages.SpeakRequest(end=messages.EndUtterance(utterance=1))
    yield messages.SpeakRequest(close=messages.CloseSession())


def speak(server, wire, requests):
    return list(wire[1].SpeechStub(server.channel).Speak(requests, timeout=120))


def frames_of(responses):
    return [r.frame for r in responses if r.WhichOneof("event") == "frame"]


def wait_until(holds, limit_s=10):
    """Polls until holds() is true; whether it came true in time."""
    until = time.monotonic() + limit_s
    while not holds() and time.monotonic() < until:
        time.sleep(0.02)
    return holds()


def rendered_jpegs(folder, audio, *options, stdin=None):
    """What `lipcast render` writes as JPEG of the server's own quality, frame by frame."""
    target = folder / "%06d.jpg"
    options = [*options, "--quality", 75, "-o", target]
    lab.lipcast(
        "render", "--avatar", "demo", audio, *options, stdin=stdin, cwd=lab.ROOT
    )
    return [path.read_bytes() for path in sorted(folder.glob("*.jpg"))]
