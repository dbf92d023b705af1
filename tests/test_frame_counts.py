"""Every frame, whatever the length and rate of the sound. Cases 9, 14, 15, 23, 71."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import lab
import numpy as np
import pytest
from markers.avatars import read_barcode

FORMATS = {"PCM_16": "s16", "FLOAT": "f32", "PCM_24": "s24", "ULAW": "mulaw"}


@pytest.mark.parametrize(
    "samples", [0, 1, 319, 640, 641, 1600, 3199, 3200, 3201, 96000, 107240]
)
def test_frames_are_the_ceiling_of_duration_times_rate(
    samples: int, tiny: Path, tmp_path: Path
) -> None:
    """Cases 9, 14, 15: no minimum length, nothing lost at the end, none gives none."""
    wav = lab.write_wav(tmp_path / "a.wav", lab.speech_like(7)[:samples])
    assert len(lab.hashes(tiny, wav)) == lab.frames_for(samples, 16000)


@pytest.mark.parametrize("rate_hz", [8000, 22050, 44100, 48000, 96000])
def test_counts_hold_at_other_rates_one_sample_around_a_frames_edge(
    rate_hz: int, tiny: Path, tmp_path: Path
) -> None:
    """Cases 1, 14: the length is counted at the sound's own rate, before resampling."""
    sound = lab.speech_like(1.1, rate_hz=rate_hz)
    for samples in (1, rate_hz // 25, rate_hz // 25 + 1, rate_hz, rate_hz + 1):
        wav = lab.write_wav(tmp_path / f"{samples}.wav", sound[:samples], rate_hz)
        assert len(lab.hashes(tiny, wav)) == lab.frames_for(samples, rate_hz), samples


def test_no_samples_give_a_normal_end_that_says_so(tiny: Path, tmp_path: Path) -> None:
    """Case 14: 0 samples = 0 frames and exit code 0."""
    wav = lab.write_wav(tmp_path / "none.wav", np.empty(0, np.float32))
    report = lab.report(tiny, wav, tmp_path / "out" / "%06d.png")
    assert report["frames"] == 0
    assert report["duration_s"] == 0


@pytest.mark.parametrize("samples", [96000, 107240])
@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_sound_and_pictures_of_a_file_end_within_one_frame(
    samples: int, ending: str, tiny: Path, tmp_path: Path
) -> None:
    """Case 15: not 147 frames for 6 s, but 150; the sound is as long as the pictures."""
    wav = lab.write_wav(tmp_path / "a.wav", lab.speech_like(7)[:samples])
    out = tmp_path / f"out.{ending}"
    report = lab.report(tiny, wav, out)
    want = lab.frames_for(samples, 16000)
    assert report["frames"] == want
    assert int(lab.probe(out)["nb_read_packets"]) == want
    first, end = lab.last_pts_s(out, "v")
    _, sound_end = lab.last_pts_s(out, "a")
    # Matroska stores no duration for the last packet of a picture.
    assert end - first >= (want - 1) / 25 - 0.002
    assert abs(sound_end - want / 25) <= 1 / 25 + 1e-3


@pytest.mark.parametrize("kind", ["PCM_16", "PCM_24", "FLOAT"])
def test_sound_in_matroska_is_the_input_bit_for_bit(
    kind: str, tiny: Path, tmp_path: Path
) -> None:
    """Cases 7, 15: 44.1 kHz stereo goes through untouched; silence may fill the last frame."""
    sound = np.stack(
        [lab.speech_like(3.3, 1, 44100), lab.speech_like(3.3, 2, 44100)], axis=1
    )
    wav = lab.write_wav(tmp_path / "a.wav", sound, 44100, kind)
    out = tmp_path / "out.mkv"
    lab.render(tiny, wav, out)
    stream = lab.probe(out, "a")
    assert (stream["sample_rate"], stream["channels"]) == ("44100", 2)
    raw = {"PCM_16": "s16le", "PCM_24": "s24le", "FLOAT": "f32le"}[kind]
    codec = ("-c:a", f"pcm_{raw}", "-f", raw, "-")
    want, got = (
        lab.ffmpeg("-i", wav, *codec),
        lab.ffmpeg("-i", out, "-map", "0:a", *codec),
    )
    assert got[: len(want)] == want
    rest = got[len(want) :]
    assert not any(rest)
    assert len(rest) < len(want) / 3.3 / 25


def test_ten_minutes_at_a_ratio_end_within_one_frame(
    avatar: Callable[..., Path], tmp_path: Path
) -> None:
    """Case 23: 30000/1001 and 24000/1001 stay rational to the end."""
    face = avatar("tiny_hold", model="M1", size=(64, 64), inner=16, border=2, frames=3)
    wav = lab.write_wav(
        tmp_path / "a.wav", np.tile(lab.speech_like(30, rate_hz=8000), 20), 8000
    )
    for text in ("30000/1001", "24000/1001"):
        want = lab.frames_for(600 * 8000, 8000, lab.rate(text))
        report = lab.report(
            face, wav, tmp_path / f"{text.replace('/', '_')}.mkv", "--fps", text
        )
        assert report["frames"] == want
        assert abs(want / lab.rate(text) - 600) < 1 / lab.rate(text)
        out = tmp_path / f"{text.replace('/', '_')}.mkv"
        first, end = lab.last_pts_s(out)
        assert abs(end - first - 600) < 2.1 / float(lab.rate(text))


def test_speech_longer_than_the_avatar_goes_on(m1: Path, tmp_path: Path) -> None:
    """Case 71: 60 s on 50 frames; pictures and boxes wrap together."""
    wav = lab.write_wav(tmp_path / "a.wav", np.tile(lab.speech_like(10), 6))
    frames = lab.pictures(m1, wav)
    assert len(frames) == 1500
    assert [read_barcode(frame) for frame in frames] == [i % 50 for i in range(1500)]


@pytest.mark.parametrize("start", [0, 1, 49, 50, 1234, 2**31 - 1])
def test_a_start_frame_places_the_first_picture(
    start: int, m1: Path, tmp_path: Path
) -> None:
    """Case 71: any start inside the numbers, also far past the end of the avatar."""
    wav = lab.write_wav(tmp_path / "a.wav", lab.speech_like(0.2))
    frames = lab.pictures(m1, wav, "--start-frame", start)
    assert [read_barcode(frame) for frame in frames] == [
        (start + i) % 50 for i in range(5)
    ]


@pytest.mark.parametrize("start", ["-1", "x", "1.5", "99999999999999999999"])
def test_a_start_frame_out_of_range_is_refused(
    start: str, m1: Path, speech_wav: Path
) -> None:
    """Case 71: a negative start kills nothing."""
    run = lab.render(
        m1, speech_wav, "-", lab.PIXELS, "bgr", "--start-frame", start, ok=False
    )
    lab.refused(run, "start-frame")
