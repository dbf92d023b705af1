"""Lip-sync against a known mouth: the demo avatar speaks what it was never trained on.

The binary renders, one function measures the opening in its pictures and in the truth's. Gates and
goals stand in truth_gates.json; a gate lies just below what the shipped models reach. Run
`python tests/test_truth.py` (with PYTHONPATH=python) for the figures of this machine.
"""

from __future__ import annotations

from pathlib import Path

import lab
import numpy as np
import pytest
import truth
from lipcast_studio.demo import measure
from lipcast_studio.training import agreement

CLIPS = truth.clips()
GATES = truth.GATES
HELD_OUT = ("flite-rms", "festival-ked", "librivox")


@pytest.fixture(scope="module")
def areas() -> dict[str, truth.Track]:
    """Each clip's measured opening, rendered once."""
    return {clip.name: truth.Engine().areas(clip.wav) for clip in CLIPS}


def pooled(areas: dict[str, truth.Track], voice: str) -> dict[str, float]:
    """r and closed share over all frames of one voice."""
    mine = [clip for clip in CLIPS if clip.voice == voice]
    output = np.concatenate([areas[clip.name] for clip in mine])
    return {
        "r": agreement.correlation(
            output, np.concatenate([clip.area_px for clip in mine])
        ),
        "closed": measure.closed_share(
            output, np.concatenate([clip.press for clip in mine])
        ),
    }


def test_every_clip_of_the_table_is_there() -> None:
    """A clip that went missing must not make the gates pass."""
    assert {clip.name for clip in CLIPS} == set(GATES["clips"])
    assert {clip.voice for clip in CLIPS} == set(GATES["voices"])
    assert set(HELD_OUT) < set(GATES["voices"])


@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: clip.name)
def test_the_mouth_of_a_clip_follows_its_truth(
    clip: truth.Clip, areas: dict[str, truth.Track]
) -> None:
    """As many frames as the truth has; r, lag and closed lips within this clip's gates."""
    assert len(areas[clip.name]) == len(clip.area_px)
    found, gate = truth.scores(clip, areas[clip.name]), GATES["clips"][clip.name]
    assert found["r"] >= gate["r"]["gate"]
    assert abs(found["lag"]) <= gate["lag"]["gate"]
    assert found["closed"] >= gate["closed"]["gate"]


@pytest.mark.parametrize("voice", sorted(GATES["voices"]))
def test_a_voice_follows_its_truth(voice: str, areas: dict[str, truth.Track]) -> None:
    """Over all its clips: r >= .85 is the goal on synthetic voices left out, .80 on humans."""
    found, gate = pooled(areas, voice), GATES["voices"][voice]
    assert found["r"] >= gate["r"]["gate"]
    assert found["closed"] >= gate["closed"]["gate"]


@pytest.mark.parametrize("name", ["silence", "noise"])
def test_the_mouth_stays_closed_without_speech(name: str, tmp_path: Path) -> None:
    """Digital silence, and white noise at -60 dBFS; through the model, and as users see it."""
    noise = np.random.default_rng(1).normal(0, 1e-3, 48000)
    sound = (np.zeros(48000) if name == "silence" else noise).astype(np.float32)
    wav = lab.write_wav(tmp_path / "a.wav", sound, kind="FLOAT")
    for flags in ((), ("--idle", "model")):
        area = truth.Engine(flags).areas(wav)
        assert len(area) == 75
        assert area.mean() <= GATES["quiet"][name]["mean_px"]["gate"], flags
        assert area.max() <= GATES["quiet"][name]["max_px"]["gate"], flags


def test_audio_five_frames_late_shows_lag_five(tmp_path: Path) -> None:
    """Control: catches an off-by-N in windows, padding or context."""
    for clip in CLIPS:
        if not clip.name.endswith("-1"):
            continue
        wav = tmp_path / f"{clip.name}.wav"
        lab.ffmpeg("-i", clip.wav, "-af", "adelay=200:all=1", "-c:a", "pcm_s16le", wav)
        late = truth.Engine().areas(wav)
        assert len(late) == len(clip.area_px) + 5
        assert agreement.best_lag(late[: len(clip.area_px)], clip.area_px) == 5, (
            clip.name
        )


def test_another_clips_audio_does_not_fit(areas: dict[str, truth.Track]) -> None:
    """Control: r is earned by the audio. Pairs whose truths agree by themselves say nothing."""
    found = []
    for mine, other in zip(CLIPS, CLIPS[1:] + CLIPS[:1], strict=True):
        count = min(len(mine.area_px), len(other.area_px))
        if (
            abs(agreement.correlation(mine.area_px[:count], other.area_px[:count]))
            > 0.3
        ):
            continue
        found.append(
            agreement.correlation(areas[other.name][:count], mine.area_px[:count])
        )
    assert len(found) >= 5
    assert max(found) <= GATES["wrong_clip"]["max_r"]["gate"]


def test_the_loop_itself_keeps_its_mouth_closed_and_the_speech_opens_it(
    areas: dict[str, truth.Track],
) -> None:
    """The ruler can tell: rest lies far below speech."""
    for clip in CLIPS:
        assert areas[clip.name].max() > 3 * measure.CLOSED_AREA_PX, clip.name
        assert areas[clip.name].min() < measure.CLOSED_AREA_PX, clip.name


def main() -> None:
    """Prints what this machine reaches, clip by clip and voice by voice."""
    found = {clip.name: truth.Engine().areas(clip.wav) for clip in CLIPS}
    for clip in CLIPS:
        print(
            clip.name,
            {k: round(v, 3) for k, v in truth.scores(clip, found[clip.name]).items()},
        )
    for voice in sorted({clip.voice for clip in CLIPS}):
        print(voice, {k: round(v, 3) for k, v in pooled(found, voice).items()})


if __name__ == "__main__":
    main()
