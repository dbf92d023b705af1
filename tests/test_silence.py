"""Silence and idle: source frames, bit-exact, and no jumps. Cases 13, 18, 34, 37, 38, 39."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import lab
import numpy as np
import pytest
from markers.avatars import read_barcode


def quiet(seconds: float) -> lab.Samples:
    """Exact zeros."""
    return np.zeros(round(seconds * 16000), np.float32)


def same_as_source(frames: lab.Bgr, avatar: Path) -> np.ndarray:
    """[n] bool: which frames equal the avatar's own frame of their time, bit for bit."""
    sources = lab.backgrounds(avatar)
    return np.array(
        [(frame == sources[i % len(sources)]).all() for i, frame in enumerate(frames)]
    )


def test_idle_frames_are_source_frames(m2: Path, tmp_path: Path) -> None:
    """Case 38: bit-exact, and no inference was spent on them."""
    wav = lab.write_wav(tmp_path / "a.wav", quiet(3))
    assert same_as_source(lab.pictures(m2, wav), m2).all()
    stages = lab.report(m2, wav, tmp_path / "o.mkv")["stages_ms_per_frame"]
    assert stages.get("generator", 0) == 0
    assert stages.get("audio_encoder", 0) == 0


@pytest.mark.parametrize("name", ["zeros", "dc", "hiss"])
def test_a_silent_span_between_sentences_shows_the_source(
    name: str, m2: Path, sentence: lab.Samples, tmp_path: Path
) -> None:
    """Case 37: 3 s of zeros, zeros with DC 0.01, -70 dB hiss."""
    rng = np.random.default_rng(4)
    gap = {
        "zeros": quiet(3),
        "dc": quiet(3) + np.float32(0.01),
        "hiss": (10 ** (-70 / 20) * rng.standard_normal(48000)).astype(np.float32),
    }[name]
    speech = sentence[4000:36000]
    wav = lab.write_wav(
        tmp_path / "a.wav", np.concatenate([speech, gap, speech]), kind="FLOAT"
    )
    frames = lab.pictures(m2, wav)
    same = same_as_source(frames, m2)
    # 50 frames of speech, 75 of silence; 0.2 s at each side belong to the blends.
    assert same[55:120].all()
    assert not same[3:47].all()
    assert not same[130:170].all()
    box_rest = lab.outside_box(frames, m2)
    sources = lab.backgrounds(m2)
    for i in range(len(frames)):
        assert (box_rest[i] == lab.outside_box(sources[i % 50][None], m2)[0]).all()


def test_moving_into_and_out_of_speech_has_no_jump(m2: Path, tmp_path: Path) -> None:
    """Cases 37, 39: the painted mouth fades in and out in steps, never at once."""
    sound = np.concatenate([quiet(1), lab.tone(1), quiet(1)])
    wav = lab.write_wav(tmp_path / "a.wav", sound)
    levels = lab.mouth_levels(lab.pictures(m2, wav), m2)
    model = lab.mouth_levels(lab.pictures(m2, wav, "--idle", "model"), m2)
    idle, speaking = levels[0], levels[37]
    assert np.ptp(levels[:18]) == 0
    assert np.ptp(levels[57:]) == 0
    assert abs(speaking - model[37]) <= 1
    # With the mouth fully the model's, its own steps remain; between, none is the whole way.
    whole = max(abs(speaking - idle), abs(idle))
    for edge in (slice(15, 26), slice(48, 60)):
        assert np.abs(np.diff(levels[edge])).max() <= 0.8 * whole
        assert len(set(np.round(levels[edge]))) >= 4


def test_the_index_moves_by_one_over_fifty_transitions(
    avatar: Callable[..., Path], tmp_path: Path
) -> None:
    """Case 39: bar codes over 50 changes between speech and silence."""
    face = avatar("tiny_long", size=(64, 64), inner=16, border=2, frames=400)
    pieces = [
        p for i in range(25) for p in (lab.speech_like(0.37, seed=i), quiet(0.61))
    ]
    wav = lab.write_wav(tmp_path / "a.wav", np.concatenate(pieces))
    codes = [read_barcode(frame) for frame in lab.pictures(face, wav)]
    assert codes == [i % 400 for i in range(len(codes))]
    assert len(codes) > 600


def test_the_mouth_is_closed_a_fifth_of_a_second_after_the_end(
    m2: Path, sentence: lab.Samples, tmp_path: Path
) -> None:
    """Case 34: sentence, then exact zeros; closed by frame +5, also with the model drawing it."""
    cut = sentence[: 16000 * 2]
    wav = lab.write_wav(tmp_path / "a.wav", np.concatenate([cut, quiet(2)]))
    assert same_as_source(lab.pictures(m2, wav), m2)[55:].all()
    levels = lab.mouth_levels(lab.pictures(m2, wav, "--idle", "model"), m2)
    assert levels[20:45].max() > 50
    assert levels[55:].max() == 0


def test_a_pulse_in_the_first_or_last_frame_is_seen(m2: Path, tmp_path: Path) -> None:
    """Case 18: the edges are features too, not copies of a neighbour."""
    for at, frame in ((200, 0), (640 * 24 + 320, 24)):
        sound = quiet(1)
        sound[at : at + 16] = 0.9 * np.resize([1, -1], 16)
        wav = lab.write_wav(tmp_path / "a.wav", sound)
        levels = lab.mouth_levels(lab.pictures(m2, wav, "--idle", "model"), m2)
        assert int(np.argmax(levels)) == frame
        others = [level for i, level in enumerate(levels) if abs(i - frame) > 1]
        assert levels[frame] > 10 > max(others)


@pytest.mark.parametrize("count", [2, 20])
def test_every_sentence_moves_the_mouth(
    count: int, m2: Path, sentence: lab.Samples, tmp_path: Path
) -> None:
    """Case 13: two sentences 2 s apart, and twenty."""
    speech = sentence[8000:24000]
    gap = 2.0 if count == 2 else 0.8
    sound = np.concatenate(
        [piece for _ in range(count) for piece in (speech, quiet(gap))]
    )
    wav = lab.write_wav(tmp_path / "a.wav", sound)
    moved = ~same_as_source(lab.pictures(m2, wav), m2)
    period = round((1 + gap) * 25)
    for i in range(count):
        assert moved[i * period + 3 : i * period + 22].mean() > 0.8, f"sentence {i}"
        assert not moved[i * period + 31 : (i + 1) * period - 5].any()


def test_the_mouth_follows_its_audio_and_not_the_clock(
    m2: Path, sentence: lab.Samples, tmp_path: Path
) -> None:
    """Two different clips give different mouths; silence a third (contract 7, fault 21)."""
    other = sentence[::-1].copy()
    curves = []
    for name, sound in (("a", sentence), ("b", other)):
        wav = lab.write_wav(tmp_path / f"{name}.wav", sound)
        curves.append(lab.mouth_levels(lab.pictures(m2, wav, "--idle", "model"), m2))
    assert np.abs(curves[0] - curves[1]).mean() > 5
    # Reversed sound, reversed curve: M2 has no memory of its own.
    assert np.corrcoef(curves[0], curves[1][::-1])[0, 1] > 0.8
