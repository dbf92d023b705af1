"""Same bytes in any pieces, at any batch, on any number of threads. Cases 7, 10, 17, 21."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import lab
import numpy as np
import pytest
from parity import pipeline


@pytest.fixture(scope="module")
def network(avatar: Callable[..., Path]) -> Path:
    """A face whose every pixel depends on the whole context and picture."""
    return avatar(
        "random",
        model="random",
        encoder="random",
        size=(160, 140),
        inner=64,
        frames=20,
        textured=True,
        order="bounce",
    )


@pytest.fixture(scope="module")
def sound(sentence: lab.Samples) -> lab.Samples:
    """3 s: silence, speech, silence, speech; so that blends and idle frames are in it too."""
    gap = np.zeros(8000, np.float32)
    return np.concatenate([gap, sentence[8000:20000], gap, sentence[20000:40000]])


@pytest.fixture(scope="module")
def whole(network: Path, sound: lab.Samples, session_dir: Path) -> list[str]:
    """Hashes of the whole-file run."""
    wav = lab.write_wav(session_dir / "same.wav", sound)
    found = lab.hashes(network, wav)
    assert len(found) == lab.frames_for(len(sound), 16000)
    assert len(set(found)) > 40
    return found


STREAM = ("--rate", 16000, "--channels", 1, lab.SAMPLES, "s16")


@pytest.mark.parametrize(
    "size", [10**9, 37, 640, 20480], ids=["whole", "37B", "20ms", "640ms"]
)
def test_streamed_in_any_pieces(
    size: int, network: Path, sound: lab.Samples, whole: list[str]
) -> None:
    """Cases 10, 17: pieces cut inside a sample, of 20 ms, of 640 ms, or all at once."""
    pieces = lab.cut(lab.pcm16(sound), size)
    assert lab.hashes(network, "-", *STREAM, stdin=pieces) == whole


def test_streamed_in_single_samples(
    network: Path, sound: lab.Samples, whole: list[str]
) -> None:
    """Case 10: single samples, the first second of the sound."""
    first = sound[:16000]
    got = lab.hashes(network, "-", *STREAM, stdin=lab.cut(lab.pcm16(first), 2))
    assert len(got) == 25
    # Frames whose context ends before the sound was cut are the same.
    assert got[:13] == whole[:13]


@pytest.mark.parametrize("batch", [1, 8, 25, 32])
@pytest.mark.parametrize("threads", [1, 2, 8])
def test_any_batch_on_any_number_of_threads(
    batch: int, threads: int, network: Path, whole: list[str], session_dir: Path
) -> None:
    """Case 21: nothing restarts at a batch border."""
    wav = session_dir / "same.wav"
    assert lab.hashes(network, wav, "--batch", batch, "--threads", threads) == whole


def test_i420_frames_are_the_same_too(
    network: Path, session_dir: Path, whole: list[str]
) -> None:
    """The other pixel format, drawn in place: any threads, same bytes."""
    wav = session_dir / "same.wav"
    one = lab.hashes(network, wav, "--threads", 1, layout="i420")
    assert len(one) == len(whole)
    assert one != whole
    assert lab.hashes(network, wav, "--threads", 4, "--batch", 5, layout="i420") == one


def test_context_carries_over_every_second(m2: Path, tmp_path: Path) -> None:
    """Case 21: a steady sound gives a steady mouth; no step at frames 25, 50, 75."""
    wav = lab.write_wav(tmp_path / "a.wav", lab.tone(4))
    heard = pipeline.hear(pipeline.open_avatar(m2), wav).features[5:95, 0]
    assert heard.min() > 0.1, "the ruler must not read silence"
    for batch in (1, 25):
        levels = lab.mouth_levels(lab.pictures(m2, wav, "--batch", batch), m2)[5:95]
        assert np.abs(levels - 255 * heard).max() <= 1
        assert np.ptp(levels) <= 1


def test_the_prefix_of_a_stream_does_not_depend_on_what_follows(
    network: Path, sound: lab.Samples, whole: list[str], tmp_path: Path
) -> None:
    """Case 17: frames are final once their look-ahead is full."""
    cut = lab.write_wav(tmp_path / "cut.wav", sound[:40000])
    found = lab.hashes(network, cut)
    assert found[:50] == whole[:50]


def test_sixty_seconds_in_4093_byte_pieces_keep_their_sound(
    tiny: Path, tmp_path: Path
) -> None:
    """Case 7: the sound comes out equal to the input, bit for bit."""
    data = lab.pcm16(np.tile(lab.speech_like(6), 10))
    out = tmp_path / "out.mkv"
    lab.render(tiny, "-", out, *STREAM, stdin=lab.cut(data, 4093))
    raw = ("-c:a", "pcm_s16le", "-f", "s16le", "-")
    assert lab.ffmpeg("-i", out, "-map", "0:a", *raw) == data


def test_two_runs_give_the_same_file(
    network: Path, tmp_path: Path, session_dir: Path
) -> None:
    """The same frames through the encoder: decoded pictures equal, run after run."""
    files = []
    for name in ("a.mkv", "b.mkv"):
        lab.render(network, session_dir / "same.wav", tmp_path / name)
        files.append(lab.decode(tmp_path / name))
    assert (files[0] == files[1]).all()
