"""Output rates: any ratio, mapped by time and never by count. Cases 20, 22, 24, 25, 26, 29."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import lab
import numpy as np
import pytest
from markers import avatars
from markers.avatars import read_barcode


def expected_codes(
    frames: int, out: Fraction, avatar: Fraction, count: int
) -> list[int]:
    """Bar codes of a looped avatar: by time."""
    return [int(i * avatar / out) % count for i in range(frames)]


@pytest.mark.parametrize(
    "fps", ["1", "10", "12.5", "24", "30000/1001", "30", "50", "60", "120"]
)
def test_any_output_rate_shows_the_background_of_its_time(
    fps: str, m1: Path, tmp_path: Path
) -> None:
    """Cases 20, 25: asked rate = given rate, from 1 to 120."""
    wav = lab.write_wav(tmp_path / "a.wav", lab.speech_like(2))
    frames = lab.pictures(m1, wav, "--fps", fps)
    out = lab.rate(fps)
    assert len(frames) == lab.frames_for(32000, 16000, out)
    codes = [read_barcode(frame) for frame in frames]
    assert codes == expected_codes(len(frames), out, Fraction(25), 50)


@pytest.mark.parametrize("fps", ["0", "0.5", "121", "-25", "25/0", "nan", "abc", ""])
def test_an_output_rate_out_of_range_is_refused(
    fps: str, m1: Path, speech_wav: Path
) -> None:
    """Case 20: range checked with the value in the message."""
    run = lab.render(m1, speech_wav, "-", lab.PIXELS, "bgr", f"--fps={fps}", ok=False)
    lab.refused(run, "fps|rate")


@pytest.mark.parametrize(
    "fps", [(1, 1), (10, 1), (25, 2), (24, 1), (30, 1), (60, 1), (120, 1)]
)
def test_an_avatar_of_any_rate_is_drawn_at_its_own(
    fps: tuple[int, int], avatar: Callable[..., Path], tmp_path: Path
) -> None:
    """Case 20: fps above 49 pushes nothing out of range."""
    face = avatar(
        f"rate_{fps[0]}_{fps[1]}", size=(64, 64), inner=16, border=2, frames=12, fps=fps
    )
    wav = lab.write_wav(tmp_path / "a.wav", lab.speech_like(1.5))
    frames = lab.pictures(face, wav)
    assert len(frames) == lab.frames_for(24000, 16000, Fraction(*fps))
    codes = [read_barcode(frame) for frame in frames]
    assert codes == [i % 12 for i in range(len(frames))]


@pytest.mark.parametrize("fps", [(1, 2), (121, 1), (0, 1), (25, 0)])
def test_an_avatar_rate_out_of_range_is_refused(
    fps: tuple[int, int], tmp_path: Path, speech_wav: Path
) -> None:
    """Case 20: at load, with the field's name."""

    def edit(manifest: dict) -> None:
        manifest["fps"] = {"num": fps[0], "den": fps[1]}

    face = avatars.make_avatar(
        tmp_path / "a", frames=3, size=(64, 64), inner=16, border=2, edit=edit
    )
    lab.refused(lab.render(face, speech_wav, "-", lab.PIXELS, "bgr", ok=False), "fps")


@pytest.mark.parametrize(
    ("fps", "out"), [(30, "25"), (12, "30"), (24, "60"), (60, "12"), (15, "24")]
)
def test_the_background_of_another_rate_follows_time(
    fps: int, out: str, avatar: Callable[..., Path], tmp_path: Path
) -> None:
    """Cases 24, 25: the code follows time, not count, in either direction."""
    face = avatar(
        f"bars{fps}", size=(64, 64), inner=16, border=2, frames=90, fps=(fps, 1)
    )
    wav = lab.write_wav(tmp_path / "a.wav", lab.speech_like(4))
    codes = [read_barcode(frame) for frame in lab.pictures(face, wav, "--fps", out)]
    assert codes == [i * fps // int(out) % 90 for i in range(4 * int(out))]


@pytest.mark.parametrize("fps", [12, 20, 30])
def test_a_model_of_twenty_five_speaks_in_time_on_an_avatar_of_another_rate(
    fps: int,
    m2: Path,
    avatar: Callable[..., Path],
    speech_wav: Path,
    sentence: lab.Samples,
) -> None:
    """Case 22: the pictures stand at the avatar's rate, the mouth at the model's, both by time."""
    face = avatar(f"m2_{fps}", model="M2", encoder="onset", fps=(fps, 1))
    want = lab.mouth_levels(lab.pictures(m2, speech_wav, "--idle", "model"), m2)
    frames = lab.pictures(face, speech_wav, "--idle", "model")
    assert len(frames) == lab.frames_for(len(sentence), 16000, Fraction(fps))
    assert [read_barcode(frame) for frame in frames] == [
        i % 50 for i in range(len(frames))
    ]
    steps = [min(len(want) - 1, i * 25 // fps) for i in range(len(frames))]
    np.testing.assert_allclose(lab.mouth_levels(frames, face), want[steps], atol=1)


@pytest.mark.parametrize("fps", [12, 24, 25, 30, 60])
def test_a_click_flashes_within_one_frame_of_its_time(
    fps: int, m2: Path, tmp_path: Path
) -> None:
    """Case 26: the model runs at 25, the output at its own rate."""
    wav = lab.write_wav(tmp_path / "a.wav", lab.clicks(4))
    frames = lab.pictures(m2, wav, "--fps", fps, "--idle", "model")
    levels = lab.mouth_levels(frames, m2)
    for second in range(4):
        first, last = round(second * fps), round((second + 1) * fps)
        part = levels[first:last]
        flash = np.flatnonzero(part > part.max() / 2) + first
        times = flash / fps
        assert part.max() > 10
        # Mel frames reach 25 ms either way and an encoder column 40 ms: one frame of the model.
        period = max(1 / fps, 1 / 25)
        assert np.abs(times - (second + 0.5)).min() <= 1 / fps
        assert np.abs(times - (second + 0.5)).max() <= 2 * period


def test_the_mouth_is_in_time_at_every_rate(
    m2: Path, speech_wav: Path, sentence: lab.Samples
) -> None:
    """Cases 25, 26: output frame i shows the mouth the model drew for its time, at every rate."""
    want = lab.mouth_levels(lab.pictures(m2, speech_wav, "--idle", "model"), m2)
    assert np.ptp(want) > 60
    for fps in (12, 15, 24, 50, 60):
        frames = lab.pictures(m2, speech_wav, "--fps", fps, "--idle", "model")
        assert len(frames) == lab.frames_for(len(sentence), 16000, Fraction(fps))
        steps = [min(len(want) - 1, i * 25 // fps) for i in range(len(frames))]
        np.testing.assert_allclose(
            lab.mouth_levels(frames, m2), want[steps], atol=1, err_msg=f"{fps} fps"
        )


def test_output_files_carry_the_asked_rate(tiny: Path, tmp_path: Path) -> None:
    """Case 25: 12, 15, 24, 60 in the file itself."""
    wav = lab.write_wav(tmp_path / "a.wav", lab.speech_like(1))
    for fps in ("12", "15", "24", "60", "30000/1001"):
        out = tmp_path / f"{fps.replace('/', '_')}.mp4"
        lab.render(tiny, wav, out, "--fps", fps)
        stream = lab.probe(out)
        assert Fraction(stream["r_frame_rate"]) == lab.rate(fps)
        assert int(stream["nb_read_packets"]) == lab.frames_for(
            16000, 16000, lab.rate(fps)
        )


def test_a_model_rate_that_is_not_the_kinds_is_refused_with_both_numbers(
    tmp_path: Path, speech_wav: Path
) -> None:
    """Case 22: a 20 fps model behind 25 fps features gives nonsense; both numbers are named."""
    face = avatars.make_avatar(
        tmp_path / "a", frames=3, size=(64, 64), inner=16, border=2, audio_fps=(20, 1)
    )
    lab.refused(
        lab.render(face, speech_wav, "-", lab.PIXELS, "bgr", ok=False), "20", "25"
    )


def test_a_video_whose_rate_is_not_the_manifests_is_refused_with_both_numbers(
    tmp_path: Path, speech_wav: Path
) -> None:
    """Cases 22, 29: the avatar states its rate and the file must have it."""
    face = avatars.make_avatar(
        tmp_path / "a",
        frames=20,
        size=(64, 64),
        inner=16,
        border=2,
        images="video",
        fps=(20, 1),
    )

    def edit(manifest: dict) -> None:
        manifest["fps"] = {"num": 25, "den": 1}

    avatars.reseal(face, edit)
    lab.refused(
        lab.render(face, speech_wav, "-", lab.PIXELS, "bgr", ok=False), "20", "25"
    )


def test_a_video_with_dropped_frames_is_never_played_at_a_wrong_speed(
    tmp_path: Path, speech_wav: Path
) -> None:
    """Case 29: 60 fps, 3 of 4 frames dropped after 2 s: 180 frames, average 30.8. A package wants
    a constant rate, so this is refused (import resamples by pts)."""
    face = avatars.make_avatar(
        tmp_path / "a",
        frames=180,
        size=(64, 64),
        inner=16,
        border=2,
        images="video",
        fps=(60, 1),
    )
    source = tmp_path / "source.mp4"
    lab.ffmpeg(
        "-f",
        "lavfi",
        "-i",
        "testsrc2=s=64x64:r=60:d=6",
        "-vf",
        "select='lt(t,2)+not(mod(n,4))'",
        "-fps_mode",
        "vfr",
        "-c:v",
        "libx264",
        source,
    )
    (face / "frames.mp4").write_bytes(source.read_bytes())
    count = int(lab.probe(source)["nb_read_packets"])
    assert count == 180
    avatars.reseal(face)
    run = lab.render(face, speech_wav, "-", lab.PIXELS, "bgr", ok=False)
    lab.refused(run, "rate|fps|pts|constant|frame")
