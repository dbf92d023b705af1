"""Which seconds of a recording stand for a person's voice."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np

from lipcast_studio.speech import clearest_speech, speech_line, take_speech, write_speech

Floats = np.ndarray


def talk(*parts: tuple[float, float]) -> Floats:
    """(seconds, loudness) one after the other, loudness 0 is a pause."""
    rng = np.random.default_rng(5)
    return np.concatenate([rng.normal(0, 1, int(s * 16_000)) * level for s, level in parts]).astype(np.float32)


def test_the_stretch_with_most_speech_is_taken_and_ends_in_pauses() -> None:
    samples = talk((3, 0.1), (9, 0), (1, 0), (8, 0.1), (0.4, 0), (20, 0))
    found = clearest_speech(samples)
    assert found is not None
    first, last = found
    assert (first, last) == (13 * 25 - 5, 21 * 25 + 5)


def test_a_speech_without_pauses_is_cut_at_ten_seconds() -> None:
    first, last = clearest_speech(talk((30, 0.1))) or (0, 0)
    assert last - first == 250


def test_a_short_one_is_whole_and_too_little_is_none() -> None:
    assert clearest_speech(talk((4, 0.1))) == (0, 100)
    assert clearest_speech(talk((2.9, 0.1))) is None
    assert clearest_speech(talk((2.9, 0.1), (20, 0))) is None
    assert clearest_speech(np.zeros(160_000, np.float32)) is None
    assert clearest_speech(np.zeros(0, np.float32)) is None


def test_frames_that_may_not_count_do_not() -> None:
    samples = talk((20, 0.1))
    good = np.zeros(500, bool)
    good[300:400] = True
    assert clearest_speech(samples, good) == (295, 405)
    assert clearest_speech(samples, np.zeros(500, bool)) is None


def test_the_file_holds_the_samples_as_they_were(tmp_path: Path) -> None:
    samples = np.array([0, 1, -1, 0.5, 1.5] * 1000, np.float32)
    write_speech(tmp_path, samples, (2, 5))
    with wave.open(str(tmp_path / "speech.wav")) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 16_000)
        data = np.frombuffer(file.readframes(9999), "<i2")
    assert len(data) == 3 * 640
    assert list(data[:5]) == [0, 32767, -32768, 16384, 32767]


def test_where_it_comes_from_is_told() -> None:
    assert speech_line((25, 100), "a.mp4") == "speech.wav: 1.00-4.00 s of a.mp4"
    assert speech_line(None, "a.mp4") == "no speech.wav: a.mp4 holds less than 3 s of speech"


def test_a_sound_that_cannot_be_read_is_said_and_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "aud.wav").write_bytes(b"RIFF nothing")
    said: list[str] = []
    take_speech(tmp_path / "aud.wav", tmp_path, said.append)
    (line,) = said
    assert line.startswith(f"no speech.wav: {tmp_path / 'aud.wav'}: no sound can be decoded: ")
    assert not (tmp_path / "speech.wav").exists()
