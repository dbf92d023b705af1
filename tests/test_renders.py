"""Speech.Render: a whole sound in, frames or a finished MP4 out."""

import hashlib
import queue

import grpc
import numpy as np
import pytest
import soundfile

from tests import lab
from tests.served import (
    frames_of,
    pcm,
    rendered_jpegs,
    reason_of,
    retry_after_s,
    serving,
    wait_until,
)

PIECE = 50_000


def requests_of(messages, sound, **opening):
    opening.setdefault("avatar", "demo")
    yield messages.RenderRequest(open=messages.RenderOpen(**opening))
    for at in range(0, len(sound), PIECE):
        yield messages.RenderRequest(audio=sound[at : at + PIECE])


def render(server, wire, sound, timeout=240, **opening):
    stub = wire[1].SpeechStub(server.channel)
    return list(stub.Render(requests_of(wire[0], sound, **opening), timeout=timeout))


def kinds_of(responses):
    return [r.WhichOneof("event") for r in responses]


@pytest.fixture(scope="module")
def wav(tmp_path_factory):
    """The first two seconds of the demo's speech as a file."""
    target = tmp_path_factory.mktemp("short") / "short.wav"
    audio, rate = pcm()
    soundfile.write(target, np.frombuffer(audio, np.int16)[: 2 * rate], rate)
    return target


def samples_of(path):
    return soundfile.read(path, dtype="int16")[0].tobytes()


def test_frames_are_those_of_the_command_byte_for_byte(server, wire, wav, tmp_path):
    found = render(server, wire, wav.read_bytes())
    frames = frames_of(found)
    assert [f.picture for f in frames] == rendered_jpegs(tmp_path, wav)
    assert b"".join(f.sound for f in frames) == samples_of(wav)
    kinds = kinds_of(found)
    assert kinds[:2] == ["opened", "progress"] and kinds[-1] == "done"
    assert found[1].progress.total_frames == len(frames) == found[-1].done.frames
    assert found[0].opened.fps.num == 25 and found[0].opened.sound.rate_hz > 0
    assert found[-1].done.provider == "cpu"
    assert found[-1].done.wall.ToNanoseconds() > 0


def test_raw_pcm_gives_the_same_frames(server, wire, rendered):
    messages, _ = wire
    audio, rate, hashes = rendered
    found = render(server, wire, audio, audio=messages.AudioFormat(rate_hz=rate))
    frames = frames_of(found)
    assert [hashlib.sha256(f.picture).hexdigest() for f in frames] == hashes
    assert b"".join(f.sound for f in frames) == audio


@pytest.mark.parametrize("name, start", [("PNG", b"\x89PNG"), ("BGR", None)])
def test_any_picture_format(server, wire, name, start):
    messages, _ = wire
    audio, rate = pcm()
    video = messages.VideoFormat(format=getattr(messages, f"PICTURE_FORMAT_{name}"))
    found = render(
        server,
        wire,
        audio[: rate // 5 * 2],
        audio=messages.AudioFormat(rate_hz=rate),
        video=video,
    )
    frames = frames_of(found)
    assert len(frames) == 5
    for frame in frames:
        size = found[0].opened.width * found[0].opened.height * 3
        assert frame.picture.startswith(start) if start else len(frame.picture) == size


def test_the_mp4_is_the_commands_byte_for_byte(server, wire, wav, tmp_path):
    target = tmp_path / "out.mp4"
    lab.lipcast("render", "--avatar", "demo", wav, "-o", target, cwd=lab.ROOT)
    found = render(server, wire, wav.read_bytes(), mp4=True)
    kinds = kinds_of(found)
    pieces = b"".join(r.file for r in found)
    assert pieces == target.read_bytes()
    assert kinds[-1] == "done" and "progress" in kinds
    assert kinds.index("file") > len(kinds) - 1 - kinds[::-1].index("progress")
    done = [r.progress.frames for r in found if r.WhichOneof("event") == "progress"]
    assert done == sorted(done)
    assert found[-1].done.frames == 50


def test_no_sound_at_all_is_no_frames(server, wire):
    messages, _ = wire
    found = render(server, wire, b"", audio=messages.AudioFormat(rate_hz=16000))
    assert frames_of(found) == [] and found[-1].done.frames == 0


@pytest.mark.parametrize(
    "audio, opening, code, says",
    [
        (b"", {}, "INVALID_ARGUMENT", "the sound"),
        (b"noise that is no sound" * 9, {}, "INVALID_ARGUMENT", "the sound"),
        (b"noise that is no sound" * 9, {"mp4": True}, "INVALID_ARGUMENT", "the sound"),
        (b"ab", {"crf": 20}, "INVALID_ARGUMENT", "crf"),
    ],
)
def test_what_is_wrong_is_one_clear_line(server, wire, audio, opening, code, says):
    with pytest.raises(grpc.RpcError) as refused:
        render(server, wire, audio, **opening)
    assert refused.value.code() == getattr(grpc.StatusCode, code)
    text = refused.value.details()
    assert says in text and "\n" not in text and "/tmp" not in text


def test_unknown_avatars_and_wrong_orders_are_refused(server, wire):
    messages, services = wire
    stub = services.SpeechStub(server.channel)
    raw = messages.AudioFormat(rate_hz=16000)
    for mp4 in (False, True):
        with pytest.raises(grpc.RpcError) as refused:
            render(server, wire, b"ab" * 9, avatar="nobody", audio=raw, mp4=mp4)
        assert refused.value.code() == grpc.StatusCode.NOT_FOUND
    for wrong in (
        [messages.RenderRequest(audio=b"ab")],
        [],
        [messages.RenderRequest(open=messages.RenderOpen(avatar="demo"))] * 2,
    ):
        with pytest.raises(grpc.RpcError) as refused:
            list(stub.Render(iter(wrong), timeout=20))
        assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_an_upload_beyond_the_limit_is_refused(wire):
    with serving("--set", "limits.upload_bytes=100000") as own:
        with pytest.raises(grpc.RpcError) as refused:
            render(own, wire, bytes(200_000))
        assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "limits.upload_bytes" in refused.value.details()
        assert (
            reason_of(refused.value) == "SIZE" and retry_after_s(refused.value) is None
        )


@pytest.mark.parametrize("mp4", [False, True])
def test_a_client_that_leaves_or_runs_out_of_time_ends_its_render(server, wire, mp4):
    messages, services = wire
    audio, rate = pcm()
    opening = {"audio": messages.AudioFormat(rate_hz=rate), "mp4": mp4}

    def busy():
        (demo,) = (
            services.AvatarsStub(server.channel)
            .ListAvatars(messages.ListAvatarsRequest())
            .avatars
        )
        return demo.stats.sessions

    assert wait_until(lambda: busy() == 0)
    call = services.SpeechStub(server.channel).Render(
        requests_of(messages, audio * 20, **opening)
    )
    next(call)
    if mp4:
        assert next(call).WhichOneof("event") == "progress"
    assert wait_until(lambda: busy() == 1)
    call.cancel()
    assert wait_until(lambda: busy() == 0)
    with pytest.raises(grpc.RpcError) as late:
        render(server, wire, audio * 20, timeout=2, **opening)
    assert late.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert wait_until(lambda: busy() == 0)


def test_renders_are_limited_as_sessions_are(wire, wav):
    messages, services = wire
    limits = ("--set", "limits.opens_per_second=1", "--set", "limits.file_sessions=1")
    with serving(*limits) as own:
        stub = services.SpeechStub(own.channel)
        opening = messages.OpenSession(avatar="demo", file_pace=True)
        opening.audio.rate_hz = 16000
        held = queue.SimpleQueue()  # never answers again: the session stays open
        held.put(messages.SpeakRequest(open=opening))
        speaking = stub.Speak(iter(held.get, None))
        assert next(speaking).HasField("opened")
        with pytest.raises(grpc.RpcError) as full:
            render(own, wire, wav.read_bytes())
        assert full.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "limits.file_sessions" in full.value.details()
        assert retry_after_s(full.value) and reason_of(full.value) == "FILE_PACE"
        said = []
        for _ in range(20):
            with pytest.raises(grpc.RpcError) as fast:
                render(own, wire, b"", avatar="nobody")
            said.append(fast.value.details())
        assert any("from this address" in text for text in said), said
        speaking.cancel()
        held.put(None)


def test_raw_pictures_beyond_a_message_are_refused_at_once_with_the_limit(
    server, wire, wav
):
    messages, _ = wire
    video = messages.VideoFormat(
        width=8192, height=8192, format=messages.PICTURE_FORMAT_RGBA
    )
    with pytest.raises(grpc.RpcError) as refused:
        render(server, wire, wav.read_bytes(), video=video)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "268435456 bytes" in refused.value.details()
    assert "limits.message_bytes" in refused.value.details()
