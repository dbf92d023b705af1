"""Memory stays flat and within its budget. Cases 56, 57."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import lab
import numpy as np
import pytest
from markers import avatars


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


def test_thirty_minutes_take_no_more_memory_than_three(
    tiny: Path, minutes: Callable[[int], Path], tmp_path: Path
) -> None:
    """Case 57: frames leave at once; the largest resident size compared."""
    peaks = {}
    for count in (3, 30):
        run = lab.render(
            tiny, minutes(count), "-", lab.PIXELS, "bgr", keep_stdout=False
        )
        peaks[count] = run.peak_kib
    assert peaks[30] <= peaks[3] + 8 * 1024, peaks


def test_a_film_of_thirty_minutes_takes_no_more_than_its_index(
    tiny: Path, minutes: Callable[[int], Path], tmp_path: Path
) -> None:
    """Case 57: with an encoder and a container at the end of the line."""
    peaks = {}
    for count in (3, 30):
        out = tmp_path / f"{count}.mp4"
        peaks[count] = lab.render(tiny, minutes(count), out, "--fps", 10).peak_kib
        assert int(lab.probe(out)["nb_read_packets"]) == count * 600
    # MP4 keeps a table entry per frame and per sound packet until the file is closed.
    assert peaks[30] <= peaks[3] + 24 * 1024, peaks


def test_a_long_full_hd_avatar_stays_within_its_budget(tmp_path: Path) -> None:
    """Case 56: 2000 frames of 1080p are 6 GB in I420 and 12 in BGR; the limit is 1 GB."""
    group, rounds = 100, 20
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
    wav = lab.write_wav(tmp_path / "a.wav", lab.speech_like(16))
    run = lab.render(face, wav, "-", lab.PIXELS, "i420", keep_stdout=False)
    assert run.peak_kib < 1024 * 1024, f"{run.peak_kib // 1024} MiB"
