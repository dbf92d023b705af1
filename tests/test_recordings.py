"""Recordings of live sessions: the file holds what the session sent, whatever ends it."""

import contextlib
import json
import re
import signal
import subprocess
import threading

import cv2
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed

from tests.served import TOKEN, pcm, serving, token_file, wait_until
from tests.test_http_live import decoded_sound, opened, say
from tests.test_rest import ask, asked
from tests.test_websocket import joined

RATE = 48000
SMALL = {"width": 320, "height": 180}


class Live:
    """A client's session over a WebSocket, as the page has it. A thread reads all that comes."""

    def __init__(self, ws, messages, **video):
        self.ws, self.messages, self.events = ws, messages, []
        self.changed, self.closed = threading.Condition(), ""
        opening = messages.OpenSession(avatar="demo")
        opening.audio.rate_hz = RATE
        opening.sound = messages.SOUND_FORMAT_PCM16
        opening.video.format = messages.PICTURE_FORMAT_H264_AVCC
        for name, value in {**SMALL, **video}.items():
            setattr(opening.video, name, value)
        self.send(open=opening)
        threading.Thread(target=self.read, daemon=True).start()
        self.until("frame")
        self.session = self.events[0].opened.session

    def read(self):
        try:
            while True:
                event = self.messages.SpeakResponse.FromString(self.ws.recv())
                with self.changed:
                    self.events.append(event)
                    self.changed.notify_all()
        except (ConnectionClosed, OSError) as error:
            with self.changed:
                self.closed = f"closed: {error}"
                self.changed.notify_all()

    def send(self, **request):
        message = self.messages.SpeakRequest(**request)
        self.ws.send(message.SerializeToString())

    def count(self, kind):
        return sum(event.WhichOneof("event") == kind for event in self.events)

    def until(self, kind, count=1):
        """Waits until `count` events of the kind have come, in all."""
        with self.changed:
            self.changed.wait_for(lambda: self.closed or self.count(kind) >= count, 30)
            assert self.count(kind) >= count, (kind, self.closed)

    def frames(self, count):
        """Waits for so many more frames."""
        self.until("frame", self.count("frame") + count)

    def recorded(self, server, recording, count):
        """Waits until so many frames are in the recording."""
        path = f"/v1/recordings/{recording['id']}"
        assert wait_until(lambda: asked(server, "GET", path)["frames"] >= count, 30)

    def say(self, samples, utterance=1, end=True):
        chunk = self.messages.AudioChunk(utterance=utterance, data=samples.tobytes())
        self.send(audio=chunk)
        if end:
            self.send(end=self.messages.EndUtterance(utterance=utterance))

    def sent(self, count, holds):
        """The `count` frames, beginning with a key frame, of which holds(frames) is true."""
        with self.changed:
            events = list(self.events)
        frames = [e.frame for e in events if e.WhichOneof("event") == "frame"]
        for i, frame in enumerate(frames):
            run = frames[i : i + count]
            if frame.key_frame and len(run) == count and holds(run):
                return run
        raise AssertionError("no run of the frames that were sent is what was recorded")

    def sent_as(self, track, count, unit=lambda picture: picture):
        """Those whose access units are the bytes of a film's track, all of them."""
        return self.sent(
            count, lambda run: b"".join(unit(f.picture) for f in run) == track
        )


@contextlib.contextmanager
def live(server, wire, **video):
    # The first session is let in whatever the machine does besides.
    assert wait_until(lambda: server.metric("sessions") == 0)
    with joined(server) as ws:
        yield Live(ws, wire[0], **video)


@pytest.fixture(scope="module")
def speech():
    audio, rate = pcm()
    samples = np.frombuffer(audio, np.int16).astype(float)
    count = len(samples) * RATE // rate
    at = np.arange(count) * rate / RATE
    return np.interp(at, np.arange(len(samples)), samples).astype(np.int16)


def begin(server, session, want=201):
    return asked(server, "POST", f"/v1/sessions/{session}/recordings", want=want)


def over(server, recording):
    """The recording once it is, in whatever way."""
    path, last = f"/v1/recordings/{recording['id']}", {}

    def done():
        last.update(asked(server, "GET", path))
        return last["state"] in ("done", "failed")

    assert wait_until(done, 30), last
    return last


def stopped(server, recording):
    asked(server, "POST", f"/v1/recordings/{recording['id']}/stop")
    last = over(server, recording)
    assert last["state"] == "done" and last["endedBy"] == "stop", last
    return last


def fetched(server, recording, folder):
    status, headers, body = ask(server, "GET", recording["file"])
    assert status == 200 and headers["content-type"] == "video/mp4"
    assert re.fullmatch(
        r'attachment; filename="demo-[0-9a-f]{8}.mp4"', headers["content-disposition"]
    )
    assert len(body) == recording["bytes"]
    assert body.index(b"moov") < body.index(b"mdat"), "the index is in front"
    path = folder / f"{recording['id']}.mp4"
    path.write_bytes(body)
    complaints = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", path, "-f", "null", "-"],
        check=True,
        capture_output=True,
    ).stderr
    assert complaints == b""
    return path


def packets(path):
    command = ["ffprobe", "-v", "error", "-select_streams", "v", "-show_packets"]
    command += ["-show_entries", "packet=pts_time,flags", "-of", "json", path]
    out = subprocess.run(command, check=True, capture_output=True).stdout
    return [(float(p["pts_time"]), p["flags"][0]) for p in json.loads(out)["packets"]]


def track(path):
    command = ["ffmpeg", "-v", "error", "-i", path, "-map", "0:v", "-c", "copy"]
    out = subprocess.run([*command, "-f", "data", "-"], check=True, capture_output=True)
    return out.stdout


def lag(found, wanted):
    """By how many samples `found` lies behind `wanted`; both have the same speech."""
    size = 1 << (len(found) + len(wanted)).bit_length()
    product = np.fft.rfft(found, size) * np.conj(np.fft.rfft(wanted, size))
    at = int(np.argmax(np.fft.irfft(product, size)))
    return at - size if at > size // 2 else at


def expect_film_of(path, frames, fps=25):
    """Pictures at their times from 0 on, the sound with them."""
    shown = [i for i, frame in enumerate(frames) if not frame.repeated]
    found = packets(path)
    assert [time for time, _ in found] == pytest.approx(
        [i / fps for i in shown], abs=1e-4
    )
    assert found[0][1] == "K"
    sound = np.frombuffer(b"".join(f.sound for f in frames), np.int16) / 32768
    heard = decoded_sound(path)
    assert abs(len(heard) - len(sound)) < 1024 + 2, "to the end of AAC's last block"
    if np.abs(sound).max() > 0.01:
        assert abs(lag(heard, sound)) <= 2, "samples, where a frame has 1920"
        error = heard[: len(sound)] - sound[: len(heard)]
        assert np.sqrt(np.mean(error**2)) < 0.2 * np.sqrt(np.mean(sound**2))


def test_the_file_holds_the_access_units_of_the_session_byte_for_byte(
    server, wire, speech, tmp_path
):
    with live(server, wire) as one:
        recording = begin(server, one.session)
        assert recording["state"] == "recording" and recording["avatar"] == "demo"
        assert recording["session"] == one.session
        listed = asked(server, "GET", f"/v1/sessions/{one.session}")
        assert listed["recorded"] is True
        one.say(speech[: 3 * RATE])
        one.until("finished")
        done = stopped(server, recording)
        assert done["frames"] > 75 and done["seconds"] == done["frames"] / 25
        path = fetched(server, done, tmp_path)
        expect_film_of(path, one.sent_as(track(path), done["frames"]))

        # Another one, in the same session, is a film of its own.
        again = begin(server, one.session)
        assert again["id"] != recording["id"]
        one.recorded(server, again, 30)
        done = stopped(server, again)
        path = fetched(server, done, tmp_path)
        expect_film_of(path, one.sent_as(track(path), done["frames"]))
        # A part of it, as a player asks for one that seeks.
        status, headers, body = ask(
            server, "GET", done["file"], headers={"Range": "bytes=4-7"}
        )
        assert status == 206 and body == b"ftyp"
        assert headers["content-range"] == f"bytes 4-7/{done['bytes']}"


def test_speech_that_is_cut_is_cut_in_the_film_as_well(server, wire, speech, tmp_path):
    messages, _ = wire
    with live(server, wire) as one:
        recording = begin(server, one.session)
        one.say(speech[: 3 * RATE], end=False)
        one.until("started")
        one.frames(20)
        one.send(clear=messages.ClearSpeech(request=1, reason="test"))
        one.until("cleared")
        one.say(speech[RATE : 2 * RATE], utterance=2)
        one.until("finished", 2)
        one.frames(3)
        done = stopped(server, recording)
        path = fetched(server, done, tmp_path)
        frames = one.sent_as(track(path), done["frames"])
        assert {0, 1, 2} <= {frame.utterance for frame in frames}
        expect_film_of(path, frames)


def test_annex_b_loses_its_start_codes_and_no_other_byte(server, wire, tmp_path):
    messages, _ = wire
    annex_b = messages.PICTURE_FORMAT_H264_ANNEXB
    with live(server, wire, format=annex_b) as one:
        recording = begin(server, one.session)
        one.recorded(server, recording, 60)
        done = stopped(server, recording)
        path = fetched(server, done, tmp_path)

        def with_lengths(picture):
            units = [unit.rstrip(b"\0") for unit in picture.split(b"\0\0\1")]
            units = [unit for unit in units if unit and unit[0] & 31 not in (7, 8)]
            return b"".join(len(unit).to_bytes(4, "big") + unit for unit in units)

        expect_film_of(path, one.sent_as(track(path), done["frames"], with_lengths))


def test_a_movie_that_is_streamed_is_recorded_to_the_byte_as_well(
    server, wire, speech, tmp_path
):
    messages, _ = wire
    with live(server, wire, format=messages.PICTURE_FORMAT_FMP4) as one:
        recording = begin(server, one.session)
        one.say(speech[:RATE])
        one.until("finished")
        done = stopped(server, recording)
        path = fetched(server, done, tmp_path)
        one.frames(5)  # a picture goes into the movie once the next one is there
        with one.changed:
            pieces = [one.events[0].opened.codec_config]
            pieces += [e.frame.picture for e in one.events if e.HasField("frame")]
        streamed = tmp_path / "streamed.mp4"
        streamed.write_bytes(b"".join(pieces))
    assert track(path) in track(streamed)
    assert packets(path)[0][0] == 0
    heard = decoded_sound(path)
    assert len(heard) / RATE == pytest.approx(done["seconds"], abs=1024 / RATE + 1e-3)
    assert np.abs(heard).max() > 0.05


def test_jpeg_pictures_are_encoded_and_look_the_same(server, wire, speech, tmp_path):
    messages, _ = wire
    with live(server, wire, format=messages.PICTURE_FORMAT_JPEG) as one:
        recording = begin(server, one.session)
        one.say(speech[: 2 * RATE])
        one.until("finished")
        done = stopped(server, recording)
        path = fetched(server, done, tmp_path)
        heard = decoded_sound(path)

        def sounds_so(run):
            sound = np.frombuffer(b"".join(f.sound for f in run), np.int16) / 32768
            return np.abs(sound).max() > 0.1 and abs(lag(heard, sound)) <= 2

        frames = one.sent(done["frames"], sounds_so)
    assert len(packets(path)) == len(frames)
    film, shown = cv2.VideoCapture(str(path)), None
    for i, frame in enumerate(frames):
        good, found = film.read()
        assert good, i
        if not frame.repeated:
            shown = cv2.imdecode(np.frombuffer(frame.picture, np.uint8), 1)
        assert np.abs(found.astype(int) - shown.astype(int)).mean() < 4, i
    assert not film.read()[0]


def test_a_session_over_plain_http_is_recorded_as_well(server, speech, tmp_path):
    session = opened(server, rate=RATE, **SMALL)
    stream = f"http://127.0.0.1:{server.http_port}{session['stream']}"
    reader = subprocess.Popen(["curl", "-sN", "-o", tmp_path / "live.mp4", stream])
    try:
        path = f"/v1/sessions/{session['id']}"
        assert wait_until(lambda: asked(server, "GET", path)["frames"] > 10)
        recording = begin(server, session["id"])
        say(
            server,
            session,
            "audio",
            body=speech[:RATE].tobytes(),
            query=f"?rate={RATE}",
        )
        say(server, session, "end")
        say(server, session, "close")
        done = over(server, recording)
    finally:
        reader.terminate()
        reader.wait(10)
    assert done["state"] == "done" and done["endedBy"] == "session"
    assert done["message"] == "the session ended"
    film = fetched(server, done, tmp_path)
    assert len(packets(film)) <= done["frames"]
    heard = decoded_sound(film)
    assert len(heard) / RATE == pytest.approx(done["seconds"], abs=1024 / RATE + 1e-3)
    assert np.abs(heard).max() > 0.05


@pytest.mark.parametrize("politely", [True, False])
def test_a_session_that_is_lost_leaves_what_was_recorded(
    server, wire, tmp_path, politely
):
    with live(server, wire) as one:
        recording = begin(server, one.session)
        one.recorded(server, recording, 25)
        if politely:
            one.ws.close()
        else:
            one.ws.socket.shutdown(2)
        done = over(server, recording)
    assert done["state"] == "done" and done["endedBy"] == "session", done
    assert done["message"].startswith("the session ended: the client ")
    path = fetched(server, done, tmp_path)
    # The server may have sent more than the client took in.
    units = track(path)
    one.sent(20, lambda run: units.startswith(b"".join(f.picture for f in run)))
    assert asked(server, "DELETE", f"/v1/recordings/{done['id']}", want=204) is None
    asked(server, "GET", f"/v1/recordings/{done['id']}", want=404)
    asked(server, "GET", done["file"], want=404)


def test_what_cannot_be_recorded_is_refused_in_one_line(server, wire):
    assert "no such session" in begin(server, "nobody", want=404)["message"]
    with live(server, wire) as one:
        first = begin(server, one.session)
        again = begin(server, one.session, want=409)
        assert again["code"] == "ALREADY_EXISTS" and "already" in again["message"]
        early = asked(server, "GET", f"/v1/recordings/{first['id']}/file", want=409)
        assert early["message"] == "the recording is not done"
        asked(server, "DELETE", f"/v1/recordings/{first['id']}", want=204)
        one.frames(2)
        begin(server, one.session)
    for method, path in (
        ("GET", "/v1/recordings/none"),
        ("POST", "/v1/recordings/none/stop"),
        ("DELETE", "/v1/recordings/none"),
        ("GET", "/v1/recordings/none/file"),
    ):
        answer = asked(server, method, path, want=404)
        assert "no such recording" in answer["message"]
    foreign = {"Origin": "https://evil.example"}
    assert ask(server, "POST", "/v1/sessions/x/recordings", headers=foreign)[0] == 403


def test_limits_end_a_recording_and_never_the_session(wire, tmp_path):
    with (
        serving("--set", "recordings.max_seconds=1") as server,
        live(server, wire) as one,
    ):
        recording = begin(server, one.session)
        done = over(server, recording)
        assert done["state"] == "done" and done["endedBy"] == "length"
        assert done["frames"] == 25 and "recordings.max_seconds" in done["message"]
        path = fetched(server, done, tmp_path)
        expect_film_of(path, one.sent_as(track(path), 25))
        assert server.metric("recordings_total") == 1
        assert server.metric("recording_frames_total") == 25
    assert len(re.findall("recording_ended", server.log)) == 1
    assert "by=length" in server.log
    with serving("--set", "recordings.running=0") as server, live(server, wire) as one:
        assert "records no sessions" in begin(server, one.session, want=409)["message"]


def test_the_disks_share_ends_it_with_a_film_that_plays(wire, tmp_path):
    with serving("--set", "recordings.disk_mb=1") as server:
        with live(server, wire, bitrate_kbps=20000, width=1280, height=720) as one:
            recording = begin(server, one.session)
            done = over(server, recording)
            assert done["state"] == "done" and done["endedBy"] == "disk", done
            assert "recordings.disk_mb" in done["message"]
            assert done["bytes"] <= 1 << 20
            path = fetched(server, done, tmp_path)
            expect_film_of(path, one.sent_as(track(path), done["frames"]))
            one.frames(5)  # it goes on


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_server_that_leaves_ends_it_and_hands_the_file_out_while_it_drains(
    wire, tmp_path, sign
):
    folder = tmp_path / "renders"
    folder.mkdir()
    with serving("--set", f"renders.folder={folder}") as server:
        with live(server, wire) as one:
            recording = begin(server, one.session)
            one.recorded(server, recording, 20)
            server.process.send_signal(sign)
            done = over(server, recording)
            assert done["endedBy"] == "drain" and done["state"] == "done"
            assert done["message"] == "the server is shutting down"
            path = fetched(server, done, tmp_path)
            expect_film_of(path, one.sent_as(track(path), done["frames"]))
            refused = begin(server, one.session, want=503)
            assert refused["reason"] == "DRAINING"
            one.send(close=one.messages.CloseSession())
        assert server.process.wait(20) == 0
    assert list(folder.iterdir()) == [], "nothing is left behind"
    (line,) = [one for one in server.log.splitlines() if "recording_ended" in one]
    assert "by=drain" in line


def test_a_token_is_wanted_and_one_for_a_page_downloads(wire, tmp_path):
    options = ["--set", f"listen.tokens={token_file(tmp_path, TOKEN)}"]
    mine = {"Authorization": f"Bearer {TOKEN}"}
    with serving(*options, preload="demo") as server:
        with joined(server, additional_headers=mine) as ws:
            one = Live(ws, wire[0])
            path = f"/v1/sessions/{one.session}/recordings"
            assert ask(server, "POST", path)[0] == 401
            recording = asked(server, "POST", path, want=201, headers=mine)
            one.frames(20)
            stop = f"/v1/recordings/{recording['id']}/stop"
            assert ask(server, "POST", stop)[0] == 401
            asked(server, "POST", stop, headers=mine)
            get = f"/v1/recordings/{recording['id']}"
            assert wait_until(
                lambda: asked(server, "GET", get, headers=mine)["state"] == "done"
            )
            assert ask(server, "GET", f"{get}/file")[0] == 401
            ticket = asked(server, "POST", "/v1/session-tokens", headers=mine)["token"]
            status, _, body = ask(server, "GET", f"{get}/file?token={ticket}")
            assert status == 200 and body[4:8] == b"ftyp"
            assert ask(server, "GET", f"{get}/file?token={ticket}")[0] == 401, "once"
