"""Live sessions over plain HTTP: sound in by POST, MJPEG or fragmented MP4 out by GET."""

import http.client
import json
import math
import re
import subprocess
import threading
import time

import numpy as np
import pytest

from tests import lab
from tests.served import pcm, wait_until
from tests.test_rest import ask, asked

FPS = 25


def opened(server, want=201, **fields):
    body = json.dumps({"avatar": "demo", **fields})
    headers = {"Content-Type": "application/json"}
    return asked(server, "POST", "/v1/sessions", want=want, body=body, headers=headers)


def say(server, session, verb, want=200, body=None, query=""):
    path = f"/v1/sessions/{session['id']}/{verb}{query}"
    return asked(server, "POST", path, want=want, body=body)


def gone(server, session):
    path = f"/v1/sessions/{session['id']}"
    return wait_until(lambda: ask(server, "GET", path)[0] == 404)


class Reader(threading.Thread):
    """Reads an output to its end by curl, as a client without our code would."""

    def __init__(self, server, session, target):
        super().__init__()
        self.target = target
        url = f"http://127.0.0.1:{server.http_port}{session['stream']}"
        command = ["curl", "-sN", "--max-time", "60", "-o", target, "-D", "-", url]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.start()

    def run(self):
        self.head = self.process.communicate()[0]

    def whole(self):
        self.join(60)
        assert self.process.returncode == 0
        return self.target.read_bytes()


def decoded_sound(path):
    command = ["ffmpeg", "-v", "error", "-i", path, "-map", "a", "-f", "f32le", "-"]
    return np.frombuffer(
        subprocess.run(command, check=True, capture_output=True).stdout, np.float32
    )


def test_a_spoken_file_comes_back_as_a_movie_with_its_sound(server, tmp_path):
    late = server.metric("frames_late_total")
    session = opened(server, rate=16000, width=320, height=180)
    assert session["output"] == "fmp4" and session["fps"] == FPS
    target = tmp_path / "live.mp4"
    reader = Reader(server, session, target)
    assert wait_until(lambda: target.exists() and target.stat().st_size > 2000)
    listed = asked(server, "GET", f"/v1/sessions/{session['id']}")
    assert listed["protocol"] == "http" and listed["peer"] == "127.0.0.1"
    audio, rate = pcm()
    samples = np.frombuffer(audio, np.int16)[: rate * 3]
    told = say(server, session, "audio", body=samples.tobytes(), query=f"?rate={rate}")
    assert told == {"utterance": 1, "samples": math.ceil(len(samples) * 16000 / rate)}
    assert say(server, session, "end") == {"utterance": 1}
    say(server, session, "close")
    reader.whole()
    assert 'video/mp4; codecs="avc1.' in reader.head and "mp4a.40.2" in reader.head

    pictures = int(lab.probe(target)["nb_read_packets"])
    sound = decoded_sound(target)
    # A frame that was late on a busy machine has its sound and shows the picture before.
    late = server.metric("frames_late_total") - late
    frames = len(sound) / 16000 * FPS
    block = 1024 / 16000  # of AAC: the last one is filled up
    assert frames >= 3 * FPS
    assert frames - late - block * FPS <= pictures <= frames + 1
    loud = np.abs(sound).max() / (np.abs(samples.astype(float)).max() / 32768)
    assert 0.5 < loud < 2, "it is heard as loud as it was said"
    first, end = lab.last_pts_s(target)
    assert first == 0 and end * FPS <= frames + 1
    assert late > 0 or abs(end - len(sound) / 16000) <= block
    assert gone(server, session)


def test_silence_lasts_as_long_as_its_pictures(server, tmp_path):
    late = server.metric("frames_late_total")
    session = opened(server, rate=44100, width=320, height=180)
    target = tmp_path / "live.mp4"
    reader = Reader(server, session, target)
    path = f"/v1/sessions/{session['id']}"
    assert wait_until(lambda: asked(server, "GET", path)["frames"] > 40)
    say(server, session, "close")
    reader.whole()
    late = server.metric("frames_late_total") - late
    pictures = int(lab.probe(target)["nb_read_packets"])
    seconds = len(decoded_sound(target)) / 44100
    assert pictures + late > 30
    assert -1 <= seconds * FPS - pictures <= 1 + late


def boxes(piece):
    found, at = [], 0
    while at + 8 <= len(piece):
        size = int.from_bytes(piece[at : at + 4], "big")
        found.append(piece[at + 4 : at + 8].decode())
        at += size
    return found


def test_the_first_fragment_comes_at_once_and_again_for_the_next_reader(server):
    session = opened(server)
    path = session["stream"]
    for _ in range(2):
        link = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=10)
        start, waited = time.monotonic(), server.waited_s()
        link.request("GET", path)
        answer = link.getresponse()
        assert answer.status == 200, answer.read()
        got = b""
        while b"mdat" not in got:
            piece = answer.read1()
            assert piece, got
            got += piece
        took = time.monotonic() - start
        waited = server.waited_s() - waited  # for a CPU that others had
        assert boxes(got)[:4] == ["ftyp", "moov", "moof", "mdat"]
        print(f"first fragment after {took:.3f} s; {waited:.3f} s without a CPU")
        assert ask(server, "GET", path)[0] == 409  # one reader at a time
        answer.close()  # it holds the socket
        link.close()
        # One that leaves makes way for the next; a HEAD is one that leaves at once.
        assert wait_until(lambda: ask(server, "HEAD", path)[0] == 200)
    assert ask(server, "DELETE", f"/v1/sessions/{session['id']}")[0] == 204
    assert gone(server, session)


def test_mjpeg_shows_jpegs_until_the_session_is_deleted(server, tmp_path):
    session = opened(server, output="mjpeg", width=160, height=160, fps=10)
    assert session["stream"].endswith("/stream.mjpeg") and session["fps"] == 10
    wrong = session["stream"].replace("mjpeg", "mp4")
    assert ask(server, "GET", wrong)[0] == 409
    target = tmp_path / "live.mjpeg"
    reader = Reader(server, session, target)
    assert wait_until(
        lambda: target.exists() and target.read_bytes().count(b"--frame") > 8
    )
    assert ask(server, "DELETE", f"/v1/sessions/{session['id']}")[0] == 204
    data = reader.whole()
    assert "multipart/x-mixed-replace; boundary=frame" in reader.head
    parts = data.split(b"--frame\r\n")[1:-1]
    assert len(parts) >= 8
    for part in parts:
        head, picture = part.split(b"\r\n\r\n", 1)
        length = int(re.search(rb"Content-Length: (\d+)", head)[1])
        assert picture == picture[:length] + b"\r\n"
        assert (
            picture[:3] == b"\xff\xd8\xff"
            and picture[length - 2 : length] == b"\xff\xd9"
        )
    assert gone(server, session)


def test_a_clear_ends_the_upload_and_the_speech(server, tmp_path):
    session = opened(server, rate=8000)
    reader = Reader(server, session, tmp_path / "live.mp4")
    audio = np.tile(
        np.frombuffer(pcm()[0], np.int16), 60
    )  # minutes: more than it holds
    answers = []

    def upload():
        path = f"/v1/sessions/{session['id']}/audio?rate=8000"
        answers.append(ask(server, "POST", path, body=audio.tobytes()))

    sender = threading.Thread(target=upload)
    sender.start()

    def state():
        return asked(server, "GET", f"/v1/sessions/{session['id']}")["state"]

    assert wait_until(lambda: state() == "speaking")
    say(server, session, "audio", want=409, body=b"\0" * 320, query="?rate=8000")
    assert say(server, session, "clear") == {"utterance": 1}
    assert wait_until(lambda: state() == "idle")  # minutes of speech were to come
    sender.join(20)
    assert answers and answers[0][0] in (200, 409)
    piece = audio[:1600].tobytes()
    assert (
        say(server, session, "audio", body=piece, query="?rate=8000")["utterance"] == 2
    )
    say(server, session, "end")
    say(server, session, "end", want=409)  # nothing was said since
    say(server, session, "close")
    reader.whole()


def test_a_session_that_nobody_reads_ends(server):
    session = opened(server, output="mjpeg", fps=5, width=64, height=64)
    path = f"/v1/sessions/{session['id']}"
    start = time.monotonic()
    assert wait_until(lambda: ask(server, "GET", path)[0] == 404, 60)
    assert time.monotonic() - start > 8  # never early
    say(server, session, "audio", want=404, body=b"\0\0", query="?rate=16000")


@pytest.mark.parametrize(
    "fields, code, says",
    [
        ({"avatar": "nobody"}, 404, "nobody"),
        ({"avatar": ""}, 400, "avatar"),
        ({"avatar": 7}, 400, "avatar = 7: want a text"),
        ({"output": "avi"}, 400, "fmp4 or mjpeg"),
        ({"fps": 1000}, 400, "frame rate"),
        ({"width": "x"}, 400, "width"),
        ({"rate": 7}, 400, "8000..192000"),
        ({"colour": "red"}, 400, "colour"),
    ],
)
def test_what_is_wrong_with_an_opening_is_one_clear_line(server, fields, code, says):
    text = opened(server, want=code, **fields)["message"]
    assert says in text and "\n" not in text


def test_what_is_no_sound_is_refused_and_the_session_goes_on(server):
    session = opened(server, output="mjpeg")
    say(server, session, "audio", want=400, body=b"noise that is no sound")
    say(server, session, "audio", want=400, body=b"", query="?channels=2")
    say(server, session, "end", want=409)
    assert ask(server, "DELETE", f"/v1/sessions/{session['id']}")[0] == 204
    for verb in ("end", "clear", "close"):
        assert ask(server, "POST", f"/v1/sessions/none/{verb}")[0] == 404
