"""Sound at the door: rates, channels, odd headers, broken files. Cases 1, 2, 5, 6, 8, 9."""

from __future__ import annotations

import struct
from pathlib import Path

import lab
import numpy as np
import pytest
import soundfile


def levels(avatar: Path, audio: object, *flags: object, **kwargs: object) -> np.ndarray:
    """[n] loudness of each frame as M2 painted it, silence included."""
    frames = lab.pictures(avatar, audio, "--idle", "model", *flags, **kwargs)
    return lab.mouth_levels(frames, avatar)


def best_lag(a: np.ndarray, b: np.ndarray, reach: int = 3) -> int:
    """By how many frames b is later than a."""
    count = min(len(a), len(b)) - 2 * reach
    a = a[reach : reach + count]
    return max(
        range(-reach, reach + 1),
        key=lambda lag: np.corrcoef(a, b[reach + lag : reach + lag + count])[0, 1],
    )


@pytest.mark.parametrize(
    ("rate_hz", "codec"),
    [
        (8000, "pcm_mulaw"),
        (8000, "pcm_alaw"),
        (22050, "pcm_s16le"),
        (24000, "pcm_s16le"),
        (44100, "pcm_s24le"),
        (48000, "pcm_s32le"),
        (96000, "pcm_f32le"),
        (192000, "pcm_f64le"),
    ],
)
def test_one_sentence_at_any_rate_moves_the_mouth_at_the_same_time(
    rate_hz: int, codec: str, m2: Path, speech_wav: Path, tmp_path: Path
) -> None:
    """Case 1: same frame count, the M2 curve within one frame."""
    wav = tmp_path / "a.wav"
    lab.ffmpeg("-i", speech_wav, "-ar", rate_hz, "-c:a", codec, wav)
    want, got = levels(m2, speech_wav), levels(m2, wav)
    assert abs(len(got) - len(want)) <= 1
    assert best_lag(want, got) == 0
    count = min(len(want), len(got))
    assert np.corrcoef(want[:count], got[:count])[0, 1] > 0.93


@pytest.mark.parametrize(
    ("codec", "name"),
    [
        ("flac", "a.flac"),
        ("libmp3lame", "a.mp3"),
        ("libvorbis", "a.ogg"),
        ("libopus", "a.opus"),
        ("aac", "a.m4a"),
        ("pcm_s16be", "a.aiff"),
        ("libmp3lame", "wrongly_named.wav"),
    ],
)
def test_other_formats_are_told_by_their_content(
    codec: str, name: str, m2: Path, speech_wav: Path, tmp_path: Path
) -> None:
    """Case 6: also an mp3 that is named .wav. A lossy codec may shift by less than a frame."""
    path = tmp_path / name
    container = ("-f", "mp3") if name == "wrongly_named.wav" else ()
    lab.ffmpeg("-i", speech_wav, "-ar", 48000, "-c:a", codec, *container, path)
    want, got = levels(m2, speech_wav), levels(m2, path)
    assert abs(len(got) - len(want)) <= 2
    assert abs(best_lag(want, got)) <= 1


def test_stereo_24_bit_and_5_1_sound_moves_the_mouth(
    m2: Path, sentence: lab.Samples, tmp_path: Path
) -> None:
    """Case 2: 44.1k stereo 24-bit, and 5.1 with speech in the centre only."""
    mono = levels(m2, lab.write_wav(tmp_path / "m.wav", sentence))
    stereo = lab.write_wav(
        tmp_path / "s.wav", np.stack([sentence] * 2, 1), kind="PCM_24"
    )
    assert (levels(m2, stereo) == mono).mean() > 0.9
    six = np.zeros((len(sentence), 6), np.float32)
    six[:, 2] = sentence
    surround = levels(m2, lab.write_wav(tmp_path / "six.wav", six))
    assert len(surround) == len(mono)
    # A sixth of the amplitude is 15.6 dB less, still speech.
    assert np.corrcoef(surround, mono)[0, 1] > 0.9


def test_speech_in_the_right_channel_only_moves_the_mouth(
    m2: Path, sentence: lab.Samples, tmp_path: Path
) -> None:
    """Case 2, 9: the stated downmix is the mean of all channels."""
    silent = np.zeros_like(sentence)
    right = lab.write_wav(
        tmp_path / "r.wav", np.stack([silent, sentence], 1), kind="FLOAT"
    )
    half = lab.write_wav(tmp_path / "half.wav", sentence / 2, kind="FLOAT")
    assert np.abs(levels(m2, right) - levels(m2, half)).max() <= 1


def test_left_equal_to_minus_right_gives_a_warning(
    m2: Path, sentence: lab.Samples, tmp_path: Path
) -> None:
    """Case 2: the mean is silence; sound never plays with a dead mouth without a word."""
    wav = lab.write_wav(tmp_path / "a.wav", np.stack([sentence, -sentence], 1))
    run = lab.render(m2, wav, tmp_path / "out.mkv")
    assert "phase" in run.stderr or "right" in run.stderr


def test_forty_eight_k_sound_on_a_thirty_fps_avatar(
    avatar: object, sentence: lab.Samples, tmp_path: Path
) -> None:
    """Case 8: both rates come from the inputs."""
    face = avatar(
        "tiny30", model="M1", size=(64, 64), inner=16, border=2, frames=30, fps=(30, 1)
    )
    wav = tmp_path / "a.wav"
    lab.ffmpeg(
        "-f", "lavfi", "-i", "sine=frequency=300:duration=2.5", "-ar", 48000, wav
    )
    report = lab.report(face, wav, tmp_path / "out.mkv")
    assert report["frames"] == 75
    assert lab.probe(tmp_path / "out.mkv")["avg_frame_rate"] == "30/1"
    assert lab.probe(tmp_path / "out.mkv", "a")["sample_rate"] == "48000"


# Headers --------------------------------------------------------------------------------------


def chunk(name: bytes, body: bytes, size: int | None = None) -> bytes:
    """One RIFF chunk, padded; size: a lie to tell."""
    length = len(body) if size is None else size
    return name + struct.pack("<I", length) + body + b"\0" * (len(body) % 2)


def wav_bytes(
    data: bytes,
    *,
    channels: int = 1,
    rate_hz: int = 16000,
    bits: int = 16,
    align: int | None = None,
    before: bytes = b"",
    data_size: int | None = None,
    extensible: bool = False,
) -> bytes:
    """A WAV file with whatever is wrong with it."""
    align = channels * bits // 8 if align is None else align
    tag = 0xFFFE if extensible else 1
    fmt = struct.pack("<HHIIHH", tag, channels, rate_hz, rate_hz * align, align, bits)
    if extensible:
        guid = bytes.fromhex("0100000000001000800000aa00389b71")
        fmt += struct.pack("<HHI", 22, bits, 4) + guid
    body = before + chunk(b"fmt ", fmt) + chunk(b"data", data, data_size)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WAVE" + body


PCM = lab.pcm16(lab.speech_like(1))
LIST = chunk(b"LIST", b"INFOISFT\5\0\0\0abcd\0")


@pytest.mark.parametrize(
    ("name", "data", "samples"),
    [
        ("size of a pipe", wav_bytes(PCM, data_size=0xFFFFFFFF), 16000),
        ("larger than the file", wav_bytes(PCM, data_size=10**6), 16000),
        ("LIST before fmt", wav_bytes(PCM, before=LIST), 16000),
        ("extensible", wav_bytes(PCM, extensible=True), 16000),
        ("odd last byte", wav_bytes(PCM[:-1]), 15999),
        ("13 bits in two bytes", wav_bytes(PCM, bits=13, align=2), 16000),
        ("odd LIST size", wav_bytes(PCM, before=chunk(b"LIST", b"INFO\0\0\0")), 16000),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_odd_but_readable_header_is_read(
    name: str, data: bytes, samples: int, tiny: Path, tmp_path: Path
) -> None:
    """Case 5: what is there is read."""
    path = tmp_path / "a.wav"
    path.write_bytes(data)
    assert len(lab.hashes(tiny, path)) == lab.frames_for(samples, 16000), name


def test_data_size_zero_gives_no_frames_or_all_and_never_a_crash(
    tiny: Path, tmp_path: Path
) -> None:
    """Case 5: a header that was never finished."""
    path = tmp_path / "a.wav"
    path.write_bytes(wav_bytes(PCM, data_size=0))
    assert len(lab.hashes(tiny, path)) in (0, 25)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("no channels", wav_bytes(PCM, channels=0, align=2), "channel"),
        ("block align 3", wav_bytes(PCM, align=3), "align|3"),
        ("nine channels", wav_bytes(PCM * 9, channels=9), "channel"),
        ("4 kHz", wav_bytes(PCM, rate_hz=4000), "4000"),
        ("400 kHz", wav_bytes(PCM, rate_hz=400_000), "400000"),
        ("40 bits", wav_bytes(PCM * 5, bits=40), "40 bits"),
        ("no data chunk", wav_bytes(PCM)[:36], "data|end"),
        ("zero bytes", b"", "empty|0 bytes|bytes"),
        ("text", b"This is not sound at all, it is a sentence in a file.\n" * 9, "."),
        ("a truncated RIFF", b"RIFF\x24\0\0\0WAVEfm", "."),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_file_that_is_not_sound_is_refused_with_its_path_and_reason(
    name: str, data: bytes, said: str, tiny: Path, tmp_path: Path
) -> None:
    """Cases 5, 6: the first error, once, and no file under the final name."""
    path = tmp_path / "wrong.wav"
    path.write_bytes(data)
    out = tmp_path / "out.mp4"
    lab.refused(lab.render(tiny, path, out, ok=False), r"wrong\.wav", said)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["wrong.wav"], name


def test_every_byte_of_a_header_set_to_an_extreme_never_crashes(
    tiny: Path, tmp_path: Path
) -> None:
    """Case 5: the binary exits by itself for each; the unit fuzzers go deeper."""
    good = bytearray(wav_bytes(PCM[:2000]))
    path = tmp_path / "a.wav"
    for position in range(0, 44, 2):
        twin = good.copy()
        twin[position] = 0xFF
        path.write_bytes(twin)
        run = lab.render(
            tiny,
            path,
            "-",
            lab.PIXELS,
            "bgr",
            ok=False,
            keep_stdout=False,
            timeout_s=20,
        )
        assert 0 <= run.code < 126, f"byte {position}: exit {run.code}\n{run.stderr}"
        if run.code != 0:
            lab.refused(run)


def test_a_truncated_m4a_is_an_error_or_its_whole_part(
    tiny: Path, speech_wav: Path, tmp_path: Path
) -> None:
    """Case 6: without its index the file is refused; half of a fast-start file may be read."""
    whole = tmp_path / "whole.m4a"
    lab.ffmpeg("-i", speech_wav, "-c:a", "aac", whole)
    half = tmp_path / "half.m4a"
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    run = lab.render(tiny, half, tmp_path / "out.mp4", ok=False)
    lab.refused(run, r"half\.m4a")
    assert not (tmp_path / "out.mp4").exists()


def test_a_video_without_sound_and_a_folder_are_refused(
    tiny: Path, tmp_path: Path
) -> None:
    """Case 6: no stream of sound; not a file."""
    film = tmp_path / "film.mp4"
    lab.ffmpeg("-f", "lavfi", "-i", "color=s=64x64:d=0.5", film)
    lab.refused(
        lab.render(tiny, film, tmp_path / "o.mp4", ok=False),
        r"film\.mp4",
        "audio|sound",
    )
    lab.refused(
        lab.render(tiny, tmp_path, tmp_path / "o.mp4", ok=False), "folder|director"
    )
    missing = tmp_path / "missing.wav"
    lab.refused(
        lab.render(tiny, missing, tmp_path / "o.mp4", ok=False),
        r"missing\.wav",
        "no such",
    )


# Raw PCM on standard input --------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["s16", "s24", "s32", "f32", "u8", "mulaw", "alaw"])
def test_raw_pcm_of_every_sample_format(
    kind: str, m2: Path, sentence: lab.Samples, speech_wav: Path
) -> None:
    """Case 1: what a TTS sends; the same mouth as the 16 bit file."""
    codec = {"s16": "s16le", "s24": "s24le", "s32": "s32le", "f32": "f32le"}.get(
        kind, kind
    )
    data = lab.ffmpeg("-i", speech_wav, "-f", codec, "-c:a", f"pcm_{codec}", "-")
    got = levels(
        m2, "-", "--rate", 16000, "--channels", 1, lab.SAMPLES, kind, stdin=data
    )
    want = levels(m2, speech_wav)
    assert len(got) == len(want)
    assert np.corrcoef(got, want)[0, 1] > (
        0.999 if kind in ("s16", "s24", "s32", "f32") else 0.85
    )


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--rate", 4000, "--channels", 1, lab.SAMPLES, "s16"), "4000"),
        (("--rate", 16000, "--channels", 0, lab.SAMPLES, "s16"), "channels"),
        (("--rate", 16000, "--channels", 9, lab.SAMPLES, "s16"), "channels"),
        (("--rate", 16000, "--channels", 1, lab.SAMPLES, "s17"), "s17"),
    ],
)
def test_a_raw_format_out_of_range_is_refused(
    flags: tuple[object, ...], said: str, tiny: Path
) -> None:
    """Case 2: at the door, with the value and the limit."""
    run = lab.render(tiny, "-", "-", lab.PIXELS, "bgr", *flags, stdin=PCM, ok=False)
    lab.refused(run, said)


def test_stereo_bytes_are_never_read_as_mono(tiny: Path) -> None:
    """Case 4, as far as a file shows it: declared stereo, half the frames."""
    flags = ("--rate", 16000, lab.SAMPLES, "s16", "--channels")
    assert len(lab.hashes(tiny, "-", *flags, 1, stdin=PCM)) == 25
    assert len(lab.hashes(tiny, "-", *flags, 2, stdin=PCM)) == 13


def test_a_wav_with_float_samples_out_of_range_and_nan_is_survived(
    m2: Path, tmp_path: Path
) -> None:
    """Case 5: a NaN in the sound never becomes a NaN in a picture or a crash."""
    sound = lab.speech_like(1)
    sound[5000:5010] = np.nan
    sound[9000:9010] = 50
    path = tmp_path / "a.wav"
    soundfile.write(path, sound, 16000, subtype="FLOAT")
    run = lab.render(m2, path, "-", lab.PIXELS, "bgr", ok=False)
    assert run.code == 0 or len(run.lines) == 1
    if run.code == 0:
        assert len(run.stdout) == 25 * 320 * 240 * 3
