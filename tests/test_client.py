"""python/lipcast_client against the real server: the same bytes, nothing lost, errors with a type."""

import asyncio
import hashlib
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from lipcast_client import (
    AsyncClient,
    AudioFormat,
    Cancelled,
    Client,
    DeadlineExceeded,
    Finished,
    Frame,
    FramesUnread,
    InvalidAudio,
    InvalidRequest,
    LipcastError,
    MovieEnd,
    NotFound,
    PictureFormat,
    Refused,
    SampleType,
    SoundFormat,
    SourceFailed,
    Started,
    Unavailable,
    VideoFormat,
    WrongOrder,
)

from tests import lab
from tests.served import pcm, serving, wait_until


@pytest.fixture
def client(server):
    with Client(f"127.0.0.1:{server.grpc_port}") as one:
        alone(one)
        yield one


def alone(client):
    """Waits until the sessions before are gone, so that a live one has the time of all workers."""
    assert wait_until(lambda: client.info().sessions == 0, 20)


def sha(frames):
    return [hashlib.sha256(f.picture).hexdigest() for f in frames]


def sounds(audio, rate, path):
    """The same sound in every form that `say` takes."""
    samples = np.frombuffer(audio, "<i2")
    lab.write_wav(path, samples / 32768, rate)
    return {
        "bytes": audio,
        "bytearray": bytearray(audio),
        "int16": samples,
        "float32": (samples / 32768).astype(np.float32),
        "column": samples.reshape(-1, 1),
        "wav": str(path),
        "path": path,
        "pieces": (audio[i : i + 37] for i in range(0, len(audio), 37)),
        "arrays": (samples[i : i + 320] for i in range(0, len(samples), 320)),
    }


def test_frames_are_the_rendered_ones_whatever_form_the_sound_has(
    client, rendered, tmp_path
):
    audio, rate, hashes = rendered
    for name, sound in sounds(audio, rate, tmp_path / "two.wav").items():
        with client.speak(audio=AudioFormat(rate), file_pace=True) as session:
            utterance = session.say(sound)
            session.close()
            events = list(session.events())
        frames = [e for e in events if isinstance(e, Frame)]
        assert sha(frames) == hashes, name
        assert b"".join(f.sound for f in frames) == audio, name
        assert utterance.finished == Finished(1, len(audio) // 2, 2.0, False)
        assert [type(e) for e in events].count(Started) == 1


def test_asyncio_gives_the_same_frames(server, rendered, tmp_path):
    audio, rate, hashes = rendered

    async def slowly():
        for i in range(0, len(audio), 6400):
            await asyncio.sleep(0)
            yield audio[i : i + 6400]

    async def main():
        async with AsyncClient(f"127.0.0.1:{server.grpc_port}") as client:
            assert (await client.info()).workers >= 1
            assert await client.health()
            assert "demo" in [a.name for a in await client.avatars()]
            for sound in (audio, slowly(), [audio[:4001], audio[4001:]]):
                opening = client.speak(audio=AudioFormat(rate), file_pace=True)
                async with opening as session:
                    utterance = await session.say(sound)
                    session.close()
                    frames = [f async for f in session]
                    assert (await utterance).played_samples == len(audio) // 2
                assert sha(frames) == hashes

    asyncio.run(main())


def test_two_sessions_of_one_loop_speak_at_once(server, rendered):
    audio, rate, hashes = rendered

    async def one(client):
        async with client.speak(audio=AudioFormat(rate), file_pace=True) as session:
            await session.say(audio)
            session.close()
            return [f async for f in session]

    async def main():
        async with AsyncClient(f"127.0.0.1:{server.grpc_port}") as client:
            for frames in await asyncio.gather(one(client), one(client)):
                assert sha(frames) == hashes

    asyncio.run(main())


def test_live_every_frame_has_its_sound_and_none_is_missing(client):
    audio, rate = pcm()
    audio = audio[: rate * 3]
    with client.speak(audio=AudioFormat(rate)) as session:
        with session.utterance() as utterance:
            for i in range(0, len(audio), 640):
                assert utterance.send(audio[i : i + 640])
        session.close()
        frames = list(session)
    assert [f.index for f in frames] == list(range(len(frames)))
    assert [f.pts_seconds for f in frames] == [i / 25 for i in range(len(frames))]
    assert {len(f.sound) for f in frames[:-1]} == {rate // 25 * 2}
    assert b"".join(f.sound for f in frames if f.utterance)[: len(audio)] == audio
    shown = b""
    for frame in frames:
        shown = frame.picture or shown
        assert frame.shown == shown and frame.repeated == (not frame.picture)
    assert any(f.speaking for f in frames)
    assert utterance.finished.played_samples == len(audio) // 2


def test_clear_answers_in_any_state_and_stops_what_is_said(client):
    audio, rate = pcm()
    with client.speak(audio=AudioFormat(rate)) as session:
        for _ in range(3):
            assert session.clear().utterance == 0
        first = session.say(audio)
        second = session.say(audio)  # never sent: it waits behind
        seen, after = [], []
        for frame in session:
            if not first.cleared:
                seen.append(frame)
            else:
                after.append(frame)
            if len(seen) == 25 and not first.cleared:
                gathered = session._core  # frames wait in the buffer
                assert wait_until(lambda: gathered._frames_waiting >= 8)
                cleared = session.clear("barge-in")
                assert cleared.utterance == first.id
                assert cleared.played_seconds == cleared.played_samples / rate
            if len(after) == 12:
                break
        assert sum(f.utterance != 0 for f in after) <= 1
        assert sum(any(f.sound) for f in after) <= 1
        indices = [f.index for f in seen + after]
        assert indices == list(range(len(indices)))
        assert first.wait(5) == Finished(
            1, cleared.played_samples, cleared.played_seconds, True
        )
        assert second.wait(5).interrupted and second.finished.played_samples == 0
        assert not first.send(audio[:640])
        third = session.say(audio[: rate // 5 * 2])
        session.close()
        heard = b"".join(f.sound for f in session if f.utterance == third.id)
        assert heard.startswith(audio[: rate // 5 * 2])


def test_clear_overtakes_a_long_utterance_that_is_still_being_sent(client):
    """An hour is said; the server is never sent so much that a clear waits behind it."""
    _, rate = pcm()
    hour = bytes(3600 * rate * 2)
    with client.speak(audio=AudioFormat(rate)) as session:
        utterance = session.say(hour)
        taken = iter(session)
        for _ in range(30):
            next(taken)
        assert session.clear().utterance == utterance.id
        assert utterance.wait(5).interrupted
        assert utterance._said.sent_bytes < 60 * rate * 2


def test_wrong_values_are_refused_with_a_type_and_a_reason(client, tmp_path):
    for avatar, kind in (("nobody", NotFound), ("../demo", InvalidRequest)):
        with pytest.raises(kind, match="avatar"):
            client.speak(avatar)
        with pytest.raises(kind):
            client.load_avatar(avatar)
    with pytest.raises(InvalidRequest, match="7"):
        client.speak(audio=AudioFormat(7))
    with pytest.raises(InvalidRequest, match="start_frame"):
        client.speak(start_frame=-1)
    with pytest.raises(InvalidRequest):
        client.speak(start_frame=1 << 70)
    with pytest.raises(InvalidRequest):
        client.speak("a\ud800")
    for wrong, says in (
        ({"audio": 16000}, "audio = 16000: want AudioFormat"),
        ({"video": "png"}, "video = 'png': want VideoFormat"),
        ({"video": VideoFormat(fps=29.97)}, "fps = 29.97: want a whole number or"),
        ({"video": VideoFormat(fps=121)}, "fps = 121"),
        ({"idle": 1}, "idle = 1: want Idle"),
        ({"audio": AudioFormat("x")}, "str"),
    ):
        with pytest.raises(InvalidRequest, match=says):
            client.speak(**wrong)
    with pytest.raises(NotFound):
        client.health("nothing.Here")
    wav = lab.write_wav(tmp_path / "24k.wav", lab.tone(0.2, rate_hz=24000), 24000)
    with client.speak(audio=AudioFormat(0, 0)) as session:  # 0: the default
        assert session.opened.audio == AudioFormat(16000, 1)
        with pytest.raises(InvalidAudio, match=r"24k.wav: S16 24000 Hz x 1: want S16"):
            session.say(wav)
        with pytest.raises(InvalidAudio, match="int"):
            session.say(5)
        with pytest.raises(FileNotFoundError):
            session.say(tmp_path / "none.wav")
        session.close()
        with pytest.raises(WrongOrder, match="closed"):
            session.say(b"")
        assert list(session.events()) is not None
    assert issubclass(NotFound, LipcastError) and issubclass(InvalidRequest, ValueError)


def test_nothing_and_one_sample_are_utterances_too(client):
    with client.speak(file_pace=True) as session:
        said = [session.say(sound) for sound in (b"", b"\1\0", b"", b"\1\0" * 641)]
        session.close()
        frames = list(session)
    assert [u.finished.played_samples for u in said] == [0, 1, 0, 641]
    assert [f.utterance for f in frames] == [2, 4, 4]


def test_a_source_that_breaks_is_told_and_the_session_lives_on(client):
    def broken():
        yield bytes(640)
        raise RuntimeError("no more voice")

    with client.speak(file_pace=True) as session:
        first, second = session.say(broken()), session.say(bytes(6400))
        session.close()
        with pytest.raises(SourceFailed, match="no more voice") as failure:
            list(session)
        assert isinstance(failure.value.__cause__, RuntimeError)
        list(session)
        with pytest.raises(SourceFailed):
            first.wait()
        assert second.wait().played_samples == 3200


def test_other_formats_of_pictures_and_sound(client):
    video = VideoFormat(PictureFormat.BGR, fps=30, width=64, height=36)
    format_ = AudioFormat(8000, 2, SampleType.F32)
    opening = {"audio": format_, "sound": SoundFormat.NONE, "file_pace": True}
    with client.speak(video=video, **opening) as session:
        session.say(np.zeros((4000, 2), np.float32))
        session.close()
        frames = list(session)
    assert len(frames) == 15 and session.opened.sound is None
    assert all(len(f.picture) == 64 * 36 * 3 and not f.sound for f in frames)
    image = np.asarray(frames[0].image())
    assert image.shape == (36, 64, 3)
    assert image[..., ::-1].tobytes() == frames[0].picture
    with client.speak(file_pace=True) as session:
        session.say(bytes(640))
        session.close()
        assert next(iter(session)).image().size == (1280, 720)


def test_a_movie_comes_in_pieces_and_its_end(client, tmp_path):
    video = VideoFormat(PictureFormat.FMP4, width=64, height=36)
    with client.speak(video=video, file_pace=True) as session:
        session.say(bytes(16000 * 2))
        session.close()
        events = list(session.events())
    assert session.opened.mime_type.startswith('video/mp4; codecs="avc1.')
    frames = [event for event in events if isinstance(event, Frame)]
    assert len(frames) == 25 and not any(frame.shown for frame in frames)
    end = events[-1]
    assert isinstance(end, MovieEnd)
    pieces = [session.opened.codec_config, *(f.picture for f in frames), end.data]
    (tmp_path / "x.mp4").write_bytes(b"".join(pieces))
    assert int(lab.probe(tmp_path / "x.mp4")["nb_read_packets"]) == 25


def test_a_reader_that_does_not_read_holds_no_more_than_its_buffer(client):
    audio, rate = pcm()
    format_ = AudioFormat(rate)
    with client.speak(audio=format_, file_pace=True, buffer_frames=5) as session:
        utterance = session.say(audio * 20)
        with pytest.raises(FramesUnread, match="5 frames wait"):
            utterance.wait(60)
        assert session._core._frames_waiting == 5
        assert utterance._said.sent_bytes < 8 * rate * 2
        fed = session.utterance()
        with pytest.raises((FramesUnread, DeadlineExceeded)):
            for _ in range(100):
                fed.send(bytes(1 << 19), timeout=0.2)
        assert fed._said.queued_bytes <= 3 << 19
        assert session.clear(timeout=10).utterance == utterance.id


def test_deadlines_and_cancellation_end_a_session_at_once(client):
    with (
        client.speak(timeout=3, file_pace=True) as session,  # time to open
        pytest.raises(DeadlineExceeded),
    ):
        list(session)
    with client.speak() as session:
        utterance = session.utterance()
        next(iter(session))
        threading.Timer(0.3, session.cancel).start()
        list(session)  # and it ends
        with pytest.raises(Cancelled):
            utterance.wait()
        with pytest.raises(LipcastError):
            session.say(bytes(640))
    with client.speak(file_pace=True) as session:
        with pytest.raises(DeadlineExceeded, match="0.2 s"):
            session.utterance().wait(0.2)


def test_no_thread_outlives_its_session(client):
    for _ in range(3):
        with client.speak(file_pace=True) as session:
            session.say(bytes(640) for _ in range(100))
            next(iter(session))

    def ours():
        return [t for t in threading.enumerate() if t.name.startswith("lipcast")]

    assert wait_until(lambda: not ours()), ours()


def test_a_full_server_refuses_and_takes_again():
    with serving("--max-sessions", "1") as server:
        with Client(f"127.0.0.1:{server.grpc_port}") as client:
            with client.speak(), pytest.raises(Refused, match="limit"):
                client.speak()
            alone(client)
            client.speak().cancel()


def answers(client):
    try:
        return client.health()
    except Unavailable:
        return False


def test_a_server_that_dies_is_a_clean_error_and_a_new_one_is_found():
    with serving() as server:
        port = server.grpc_port
        client = Client(f"127.0.0.1:{port}")
        session = client.speak()
        utterance = session.say(bytes(320000))
        frames = iter(session)
        next(frames)
        server.process.kill()
        with pytest.raises(Unavailable):
            list(frames)
        for call in (utterance.wait, session.clear, client.info, client.speak):
            with pytest.raises(Unavailable):
                call()
    with serving(port=port):
        assert wait_until(lambda: answers(client), 20)
        session = client.speak()
        assert len(next(iter(session)).picture) > 1000
        client.close()
    with pytest.raises(LipcastError):
        client.info()


def test_ctrl_c_ends_a_program_in_time(client, server):
    # A shell's background jobs begin with the signal ignored.
    program = f"""
import signal
from lipcast_client import Client
signal.signal(signal.SIGINT, signal.default_int_handler)
with Client("127.0.0.1:{server.grpc_port}") as client, client.speak() as session:
    utterance = session.say(bytes(3200000))
    print("ready", flush=True)
    session.utterance().wait()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(lab.ROOT / "python")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    begun = time.monotonic()
    process.send_signal(2)
    _, errors = process.communicate(timeout=20)
    assert time.monotonic() - begun < 10
    assert "KeyboardInterrupt" in errors and process.returncode != 0
