"""What streams carry: H.264 in both forms, whole pictures, and sound at another rate."""

import queue
import re
import subprocess

import cv2
import grpc
import numpy as np
import pytest

from tests import lab
from tests.served import frames_of, pcm, requests_of, speak, wait_until
from tests.test_http_live import decoded_sound

SECONDS = 3


@pytest.fixture(scope="module")
def audio():
    """Bytes and rate of a few seconds of speech."""
    samples, rate = pcm()
    return samples[: rate * SECONDS * 2], rate


def spoken(server, wire, audio, rate, /, form="JPEG", video=None, **settings):
    """Responses of a session at file pace, pictures in the named form."""
    messages, _ = wire
    settings["video"] = messages.VideoFormat(
        format=messages.PictureFormat.Value(f"PICTURE_FORMAT_{form}"), **(video or {})
    )
    requests = requests_of(wire, audio, rate, 6400, file_pace=True, **settings)
    return speak(server, wire, requests)


def annex_b(config, picture):
    """An AVCC picture as Annex B; a key frame's parameter sets come from the avcC record."""
    assert config[0] == 1 and config[4] & 3 == 3 and config[5] & 31 == 1
    sps_end = 8 + int.from_bytes(config[6:8], "big")
    assert config[sps_end] == 1
    pps_at = sps_end + 3
    pps_end = pps_at + int.from_bytes(config[sps_end + 1 : pps_at], "big")
    out = b""
    at = 0
    while at < len(picture):
        size = int.from_bytes(picture[at : at + 4], "big")
        nal = picture[at + 4 : at + 4 + size]
        if nal[0] & 31 == 5:
            for parameters in (config[8:sps_end], config[pps_at:pps_end]):
                out += b"\0\0\0\1" + parameters
        out += b"\0\0\0\1" + nal
        at += 4 + size
    assert at == len(picture)
    return out


def decoded(stream, width, height):
    """The pictures in an Annex B stream, BGR; any complaint of ffmpeg's fails."""
    done = subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "h264", "-i", "-", "-fps_mode", "passthrough"]
        + ["-pix_fmt", "yuv420p", "-f", "rawvideo", "-"],
        input=stream,
        capture_output=True,
    )
    assert done.returncode == 0 and not done.stderr, done.stderr.decode()
    pictures = np.frombuffer(done.stdout, np.uint8).reshape(-1, height * 3 // 2, width)
    return list(pictures)


def luma_of_jpeg(jpeg):
    """BT.709 limited luma."""
    b, g, r = np.moveaxis(
        cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).astype(float),
        2,
        0,
    )
    return 16 + (0.2126 * r + 0.7152 * g + 0.0722 * b) * 219 / 255


def psnr(a, b):
    return 10 * np.log10(255**2 / np.mean((np.asarray(a, float) - b) ** 2))


@pytest.mark.parametrize("form", ["H264_ANNEXB", "H264_AVCC"])
def test_h264_decodes_to_every_frame_as_it_was_drawn(server, wire, audio, form):
    samples, rate = audio
    found = spoken(server, wire, samples, rate, form)
    opened = found[0].opened
    frames = [frame for frame in frames_of(found) if not frame.repeated]
    assert len(frames) == 25 * SECONDS
    keys = [i for i, frame in enumerate(frames) if frame.key_frame]
    assert keys == list(range(0, len(frames), 50))
    if form == "H264_AVCC":
        units = [annex_b(opened.codec_config, frame.picture) for frame in frames]
    else:
        assert not opened.codec_config
        units = [frame.picture for frame in frames]
    pictures = decoded(b"".join(units), opened.width, opened.height)
    assert len(pictures) == len(frames)
    jpegs = frames_of(spoken(server, wire, samples, rate, video={"jpeg_quality": 95}))
    for picture, frame in zip(pictures, jpegs, strict=True):
        assert psnr(picture[: opened.height], luma_of_jpeg(frame.picture)) > 36
    # A reader may join at any key frame.
    joined = decoded(b"".join(units[50:]), opened.width, opened.height)
    assert len(joined) == len(frames) - 50
    assert np.array_equal(joined[0], pictures[50])


def test_a_bitrate_is_kept_and_one_out_of_range_is_refused(server, wire, audio):
    samples, rate = audio
    sizes = {}
    for kbps in (400, 2000):
        video = {"bitrate_kbps": kbps}
        found = spoken(server, wire, samples, rate, "H264_ANNEXB", video)
        sizes[kbps] = sum(len(frame.picture) for frame in frames_of(found)) * 8 / 1000
        assert (
            sizes[kbps] < (SECONDS + 1.1) * kbps
        )  # the first second may fill the buffer
    assert sizes[400] < sizes[2000]
    with pytest.raises(Exception, match="bitrate_kbps = 7: want 0 or 50..100000"):
        spoken(server, wire, samples, rate, "H264_ANNEXB", {"bitrate_kbps": 7})


def live_h264(server, wire):
    """An outbox and the call of a live session that shows silence in H.264."""
    messages, services = wire
    outbox = queue.Queue()
    opening = messages.OpenSession(
        avatar="demo",
        video=messages.VideoFormat(format=messages.PICTURE_FORMAT_H264_ANNEXB),
    )
    outbox.put(messages.SpeakRequest(open=opening))
    call = services.SpeechStub(server.channel).Speak(iter(outbox.get, None), timeout=60)
    return outbox, call


def test_a_key_frame_comes_within_two_frames_of_its_request(server, wire):
    messages, _ = wire
    outbox, call = live_h264(server, wire)
    frames, taken = (
        [],
        None,
    )  # how many were on their way when the server took the request
    for response in call:
        kind = response.WhichOneof("event")
        if kind == "cleared":
            taken = len(frames)
        if kind != "frame":
            continue
        frames.append(response.frame)
        if response.frame.index == 20:
            outbox.put(messages.SpeakRequest(key_frame=messages.RequestKeyFrame()))
            # Its answer stands where the server took the request that is before it.
            outbox.put(messages.SpeakRequest(clear=messages.ClearSpeech(request=1)))
        if taken is not None and len(frames) == taken + 10:
            outbox.put(messages.SpeakRequest(close=messages.CloseSession()))
            outbox.put(None)
    first, again = [frame.index for frame in frames if frame.key_frame]
    assert first < 3 and again > 20
    # One that is late on a busy machine has no picture that could be whole.
    assert sum(not frame.repeated for frame in frames[taken : again + 1]) <= 2


def test_what_a_slow_reader_gets_decodes_though_pictures_were_left_out(server, wire):
    messages, _ = wire
    outbox, call = live_h264(server, wire)
    opened = next(call).opened
    dropped = server.metric("frames_dropped_total")

    def left_out():
        return server.metric("frames_dropped_total") > dropped

    # gRPC holds some for us; the rest waits in the server, until pictures are left out.
    assert wait_until(left_out, limit_s=60)
    frames = []
    for response in call:
        frames += frames_of([response])
        if frames and frames[-1].index == 175:
            outbox.put(messages.SpeakRequest(close=messages.CloseSession()))
            outbox.put(None)
    assert [frame.index for frame in frames] == list(range(len(frames)))
    shown = [frame for frame in frames if not frame.repeated]
    stream = b"".join(frame.picture for frame in shown)
    assert len(decoded(stream, opened.width, opened.height)) == len(shown)


def test_a_movie_is_one_file_of_all_frames_and_their_sound(
    server, wire, tmp_path, audio
):
    messages, services = wire
    samples, rate = audio
    sound = {"sound": messages.SOUND_FORMAT_PCM16, "sound_rate_hz": 48000}
    found = spoken(server, wire, samples, rate, "FMP4", **sound)
    opened = found[0].opened
    assert re.fullmatch(
        r'video/mp4; codecs="avc1\.[0-9a-f]{6}, mp4a\.40\.2"', opened.mime_type
    )
    frames = frames_of(found)
    assert len(frames) == 25 * SECONDS
    assert not any(frame.sound for frame in frames)
    assert found[-1].WhichOneof("event") == "movie_end"
    movie = tmp_path / "x.mp4"
    pieces = [frame.picture for frame in frames] + [found[-1].movie_end]
    movie.write_bytes(opened.codec_config + b"".join(pieces))
    assert int(lab.probe(movie)["nb_read_packets"]) == len(frames)
    assert lab.last_pts_s(movie) == (0, pytest.approx(SECONDS, abs=1e-3))
    assert 0 <= len(decoded_sound(movie)) - 48000 * SECONDS < 1024
    # A render has a movie of its own.
    video = messages.VideoFormat(format=messages.PICTURE_FORMAT_FMP4)
    order = messages.RenderOpen(avatar="demo", video=video)
    render = services.SpeechStub(server.channel).Render
    with pytest.raises(grpc.RpcError, match="open.video.format = FMP4: want it of a"):
        list(render(iter([messages.RenderRequest(open=order)])))


def test_png_and_rgba_are_the_pixels_of_bgr(server, wire, audio):
    samples, rate = audio
    samples = samples[: rate // 2 * 2]
    pictures = {}
    for form in ("BGR", "RGBA", "PNG"):
        found = spoken(server, wire, samples, rate, form)
        shape = (found[0].opened.height, found[0].opened.width, -1)
        pictures[form] = [frame.picture for frame in frames_of(found)]
        if form == "PNG":
            pictures[form] = [
                cv2.imdecode(np.frombuffer(p, np.uint8), cv2.IMREAD_COLOR)
                for p in pictures[form]
            ]
        else:
            pictures[form] = [
                np.frombuffer(p, np.uint8).reshape(shape) for p in pictures[form]
            ]
    assert len(pictures["BGR"]) == 13
    for bgr, rgba, png in zip(*pictures.values(), strict=True):
        assert np.array_equal(bgr, png)
        assert np.array_equal(bgr, rgba[:, :, 2::-1]) and (rgba[:, :, 3] == 255).all()


def stereo_noise(rate, seconds):
    """Band-limited noise, another in each channel: nothing else correlates with it."""
    random = np.random.default_rng(7)
    smooth = np.hanning(33) / np.hanning(33).sum()
    noise = random.standard_normal((rate * seconds, 2)) * 9000
    noise = np.stack([np.convolve(noise[:, c], smooth, "same") for c in (0, 1)], axis=1)
    return noise.clip(-32768, 32767).astype("<i2")


def test_pcm16_at_another_rate_is_exact_and_does_not_lag(server, wire):
    messages, _ = wire
    source = stereo_noise(48000, 5)
    opening = {
        "audio": messages.AudioFormat(channels=2),
        "sound": messages.SOUND_FORMAT_PCM16,
        "sound_rate_hz": 24000,
    }
    found = spoken(server, wire, source.tobytes(), 48000, **opening)
    sound = found[0].opened.sound
    assert (sound.rate_hz, sound.channels) == (24000, 2)
    assert sound.sample_type == messages.SAMPLE_TYPE_S16
    frames = frames_of(found)
    assert [len(frame.sound) for frame in frames] == [960 * 4] * 125
    heard = np.frombuffer(b"".join(frame.sound for frame in frames), "<i2")
    heard = heard.reshape(-1, 2).astype(float)
    for channel in (0, 1):
        wanted = source[::2, channel].astype(float)
        at = {
            lag: np.corrcoef(np.roll(wanted, lag)[100:-100], heard[100:-100, channel])
            for lag in range(-20, 21)
        }
        assert max(at, key=lambda lag: at[lag][0, 1]) == 0
        assert at[0][0, 1] > 0.999


def test_pcm16_of_every_input_type_has_the_same_samples(server, wire, audio):
    messages, _ = wire
    samples, rate = audio
    samples = samples[: rate * 2]
    sounds = {}
    for kind in ("S16", "F32"):
        values = np.frombuffer(samples, "<i2")
        if kind == "F32":
            values = (values / 32768).astype("<f4")
        found = spoken(
            server,
            wire,
            values.tobytes(),
            rate,
            audio=messages.AudioFormat(
                sample_type=messages.SampleType.Value(f"SAMPLE_TYPE_{kind}")
            ),
            sound=messages.SOUND_FORMAT_PCM16,
            sound_rate_hz=44100,
        )
        sounds[kind] = b"".join(frame.sound for frame in frames_of(found))
    assert len(sounds["S16"]) == 44100 * 2
    assert sounds["S16"] == sounds["F32"]


def test_started_tells_its_frame_and_an_unknown_idle_is_refused(server, wire, audio):
    samples, rate = audio
    found = spoken(server, wire, samples[:rate], rate)
    started = next(r.started for r in found if r.WhichOneof("event") == "started")
    assert started.frame == next(f.index for f in frames_of(found) if f.utterance == 1)
    with pytest.raises(Exception, match="open.idle = 9: want a value of Idle"):
        spoken(server, wire, samples, rate, idle=9)
