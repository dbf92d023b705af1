"""Memory stays flat and within its budget. Cases 56, 57."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import lab
import numpy as np
import pytest
from markers import avatars

MIB = 1024  # in KiB, as the kernel counts


@pytest.fixture(scope="module")
def minutes(session_dir: Path) -> Callable[[int], Path]:
    """minutes(n): n minutes of speech-like sound with pauses, 8 kHz mu-law."""

    def make(count: int) -> Path:
        path = session_dir / f"{count}min.wav"
        if not path.exists():
            piece = np.concatenate(
                [lab.speech_like(50, rate_hz=8000), np.zeros(10 * 8000, np.float32)]
            )
            lab.write_wav(path, np.tile(piece, count), 8000, "ULAW")
        return path

    return make


def peak_of_render(avatar: Path, audio: Path, output: object, *flags: object) -> int:
    """KiB."""
    return lab.peak_kib("render", "--avatar", avatar, audio, "-o", output, *flags)


def test_thirty_minutes_take_no_more_memory_than_three(
    tiny: Path, minutes: Callable[[int], Path]
) -> None:
    """Case 57: frames leave at once; the largest resident size compared."""
    peaks = {
        count: peak_of_render(tiny, minutes(count), "-", lab.PIXELS, "bgr")
        for count in (3, 30)
    }
    assert peaks[3] < 128 * MIB, peaks
    assert peaks[30] <= peaks[3] + 2 * MIB, peaks


def test_a_film_of_thirty_minutes_takes_no_more_than_its_index(
    tiny: Path, minutes: Callable[[int], Path], tmp_path: Path
) -> None:
    """Case 57: with an encoder and a container at the end of the line."""
    peaks = {}
    for count in (3, 30):
        out = tmp_path / f"{count}.mp4"
        peaks[count] = peak_of_render(tiny, minutes(count), out, "--fps", 10)
        assert int(lab.probe(out)["nb_read_packets"]) == count * 600
    # MP4 keeps a table entry per frame and per sound packet until the file is closed.
    assert peaks[30] <= peaks[3] + 24 * MIB, peaks


def test_a_long_full_hd_avatar_stays_within_its_budget(tmp_path: Path) -> None:
    """Case 56: 2000 frames of 1080p are 6 GB in I420; 10 s of them are 780 MB, allowed are 256."""
    group, rounds, budget_mb = 25, 80, 256
    face = avatars.make_avatar(
        tmp_path / "a", frames=group, size=(1920, 1080), images="video", model="M1"
    )
    once, film = tmp_path / "once.mp4", face / "frames.mp4"
    film.rename(once)
    lab.ffmpeg("-stream_loop", rounds - 1, "-i", once, "-c", "copy", film)
    count = int(lab.probe(film)["nb_read_packets"])
    assert count == group * rounds

    def edit(manifest: dict) -> None:
        manifest["frame_count"] = count
        manifest["idle"]["count"] = count

    box = list(avatars.default_box((1920, 1080)) or ())
    (face / "boxes.json").write_text(
        '{"schema_version": 1, "boxes": [' + ",".join([str(box)] * count) + "]}"
    )
    avatars.reseal(face, edit)
    avatars.reseal(face)
    wav = lab.write_wav(tmp_path / "a.wav", lab.speech_like(10))
    flags = (lab.PIXELS, "i420", "--frame-memory-mb", budget_mb)
    peak = peak_of_render(face, wav, "-", *flags)
    # Beside the frames: the networks, a video decoder's own pictures, frames in flight.
    assert peak < (budget_mb + 200) * MIB, f"{peak // MIB} MiB"


def test_the_reported_peak_is_the_runs_own_and_not_its_parents(tiny: Path) -> None:
    """A program started by a large process inherits that one's peak in getrusage."""
    large = np.ones(600 * 1024 * MIB // 8)
    flags = ("--frames", 25, "--encoder", "none", "--json", "--avatar", tiny)
    told = json.loads(lab.lipcast("bench", *flags).stdout)
    assert large.all()
    assert 10 < told["peak_rss_mb"] < 300
