"""The pieces of `create` between the faces and the package."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lipcast_studio.create.create_avatar import gains_of
from lipcast_studio.create.interrupt import Interrupts
from lipcast_studio.create.material import Recorded, parts_of
from lipcast_studio.create.options import find_base, options_of
from lipcast_studio.create.package import Background, background_of, own_speech, with_closed_mouth
from lipcast_studio.create.report import judge
from lipcast_studio.create.work_folder import held, open_work
from lipcast_studio.errors import EXIT_INTERRUPTED, StudioError
from lipcast_studio.face import progress
from lipcast_studio.face.mouth import Scale
from lipcast_studio.face.track import NO_FACE, STILL_MOUTH, USABLE, Track
from lipcast_studio.training import loop
from lipcast_studio.video.ffmpeg import FrameWriter


@pytest.mark.parametrize("count", [250, 300, 3000, 30_000])
def test_what_is_held_out_is_never_trained_on(count: int) -> None:
    parts = parts_of(count)
    assert 0 < parts.train <= parts.held_out - 25
    assert 50 <= parts.count - parts.held_out <= 1500
    assert parts.count == count


def test_a_chunk_of_the_recording_gives_no_weight_to_unusable_frames() -> None:
    wave = np.random.default_rng(1).normal(0, 0.1, 300 * 640).astype(np.float32)
    values = np.full((300, 7), 0.8, np.float32)
    usable = np.ones(300, bool)
    usable[100:150] = False
    rest = np.zeros(7, np.float32)
    clip = Recorded(wave, values, usable, rest, parts_of(300)).clip
    pad = 15
    assert (clip.weight[pad + 100 : pad + 150] == 0).all()
    assert (clip.weight[pad : pad + 100] == 1).all()
    assert (clip.weight[:pad] > 1).all()  # silence before the sound, the mouth at rest
    assert (clip.values[:pad] == 0).all()


def recording(count: int = 400) -> tuple[Track, list, np.ndarray, Scale, np.ndarray]:
    """A track that is usable throughout, an opening that follows the sound."""
    rng = np.random.default_rng(2)
    opening = np.repeat(rng.random(count // 4), 4)
    measured = np.repeat(opening[:, None], 7, 1)
    wave = (np.repeat(opening + 0.05, 640) * rng.normal(0, 0.1, count * 640)).astype(np.float32)
    track = Track(np.zeros((count, 468, 3)), np.ones(count), np.full(count, USABLE), 640, 360)
    return track, [(0, 0, 64, 64)] * count, measured, Scale(np.zeros(7), np.ones(7)), wave


def test_a_good_recording_is_not_refused() -> None:
    report = judge(*recording())
    assert report.refusal == ""
    assert report.lines() == ["usable: 400 of 400 frames (16.0 of 16.0 s), speech in 16.0 s of them"]


def test_another_voice_is_told_and_its_frames_are_left_out() -> None:
    track, boxes, measured, scale, wave = recording()
    measured[200:300] = 0.1
    report = judge(track, boxes, measured, scale, wave)
    ((first, last),) = report.reasons["speech with a still mouth (another voice?)"]
    assert 185 <= first <= 205
    assert 290 <= last <= 315
    assert track.status[250] == STILL_MOUTH
    assert boxes[250] is None
    assert "frames" in report.lines()[0]


def test_a_sound_out_of_step_is_a_warning_with_its_size() -> None:
    track, boxes, measured, scale, wave = recording()
    report = judge(track, boxes, np.roll(measured, 8, 0), scale, wave)
    assert report.warnings == ["the mouth moves 320 ms after the sound"]


def test_a_mouth_that_does_not_move_and_a_recording_without_a_face_are_refused() -> None:
    track, boxes, measured, scale, wave = recording()
    assert (
        judge(track, boxes, measured * 0 + 0.3, scale, wave).refusal == "the mouth does not move in frames 0-399 (0.00-16.00 s)"
    )
    track, boxes, measured, scale, wave = recording()
    track.status[:] = NO_FACE
    refusal = judge(track, [None] * 400, measured * np.nan, None, wave).refusal
    assert refusal == "0.0 s of usable picture, want 10 or more: no face in frames 0-399 (0.00-16.00 s)"


def test_the_avatars_frames_show_the_mouth_at_rest_and_nothing_else_changes(tmp_path: Path) -> None:
    frame = np.kron(np.random.default_rng(3).integers(60, 200, (9, 12, 3)), np.ones((20, 20, 1))).astype(np.uint8)
    with FrameWriter(tmp_path / "a.mp4", 240, 180, crf=1) as writer:
        for _ in range(4):
            writer.write(frame)
    box = (30, 10, 198, 178)
    background = background_of(tmp_path / "a.mp4", 240, 180, [None, box, box, box])
    assert (background.first, background.count) == (1, 3)

    class Filled:
        """A net that fills its picture with the first mouth value."""

        @staticmethod
        def image(picture: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
            return torch.zeros_like(picture[:, :3]) + values[:, :1, None, None]

    rest = np.full(7, 0.5, np.float32)
    recorded = [f.copy() for f in background.frames()]
    shown = list(with_closed_mouth(background, Filled(), rest, 160))  # type: ignore[arg-type]
    assert len(shown) == len(recorded) == 3
    for before, after in zip(recorded, shown, strict=True):
        assert (after[20:168, 40:188] == 127).all()
        outside = np.ones((180, 240), bool)
        outside[box[1] : box[3], box[0] : box[2]] = False
        assert np.array_equal(after[outside], before[outside])


def test_the_longest_whole_stretch_is_shown_and_at_most_30_s_of_it(tmp_path: Path) -> None:
    box = (0, 0, 64, 64)
    boxes = [box] * 100 + [None] + [box] * 2000
    background = background_of(tmp_path / "a.mp4", 240, 180, boxes)
    assert background == Background(tmp_path / "a.mp4", 240, 180, 101, [box] * 750)


def test_speech_of_the_held_out_part_goes_into_the_package_and_else_of_the_whole() -> None:
    rng = np.random.default_rng(8)
    wave = rng.normal(0, 0.1, 2000 * 640).astype(np.float32)
    usable = np.ones(2000, bool)
    parts = parts_of(2000)
    (first, last), held_out = own_speech(wave, usable, parts)
    assert held_out
    assert parts.held_out <= first < last <= 2000
    usable[parts.held_out + 50 :] = False  # another voice
    stretch, held_out = own_speech(wave, usable, parts)
    assert not held_out
    assert stretch is not None
    assert own_speech(wave * 0, usable, parts) == (None, False)


def test_a_work_folder_is_taken_up_by_its_own_run_only(tmp_path: Path) -> None:
    work = tmp_path / "anna.work"
    assert not open_work(work, {"sha256": "a", "size": "s"}, restart=False)
    (work / "audio.pt").write_text("x")
    assert open_work(work, {"sha256": "a", "size": "s"}, restart=False)
    with pytest.raises(StudioError, match=r"another sha256 \(a, now b\); --restart throws it away"):
        open_work(work, {"sha256": "b", "size": "s"}, restart=False)
    assert (work / "audio.pt").exists()
    assert not open_work(work, {"sha256": "b", "size": "s"}, restart=True)
    assert not (work / "audio.pt").exists()
    (tmp_path / "mine").mkdir()
    for restart in (False, True):
        with pytest.raises(StudioError, match="not a work folder"):
            open_work(tmp_path / "mine", {"size": "s"}, restart=restart)
    assert (tmp_path / "mine").is_dir()


def test_two_runs_never_share_a_work_folder(tmp_path: Path) -> None:
    work = tmp_path / "anna.work"
    open_work(work, {"size": "s"}, restart=False)
    with held(work):
        with pytest.raises(StudioError, match=r"anna\.work: another run is at work in it"), held(work):
            pass
        with pytest.raises(StudioError, match="another run is at work in it"):
            open_work(work, {"size": "s"}, restart=True)
        assert (work / "create.json").exists()
    with held(work):
        pass


def test_fast_and_sizes_choose_steps_that_flags_override() -> None:
    def chosen(size: str | None, fast: bool, audio: int | None = None) -> tuple[str, tuple[int, int]]:
        options = options_of(size, fast, audio, None, "none", "cpu", 1)
        return options.size, options.steps

    assert chosen(None, False)[0] == "m"
    assert chosen(None, True)[0] == "s"
    assert chosen("l", False, 7)[1][0] == 7
    assert sum(chosen("s", True)[1]) < sum(chosen("s", False)[1])
    assert find_base("none") is None
    assert (find_base(None) or Path()).name == "demo"


def test_gains_make_careful_guesses_as_lively_as_the_person_and_leave_the_mouth_closed() -> None:
    truth = np.random.default_rng(1).random((100, 7)).astype(np.float32)
    rest = np.array([0, 0, 0, 0.5, 0, 0, 0], np.float32)
    careful = truth * [0.8, 0.1, 1.5, 0.8, 1, 1, 1]
    gains = gains_of(careful.astype(np.float32), truth, rest)
    np.testing.assert_allclose(gains, [1.25, 1.4, 1, 1, 1, 1, 1], rtol=1e-3)


def test_a_signal_is_a_question_and_then_an_exit_with_130() -> None:
    import os
    import signal

    before = signal.getsignal(signal.SIGTERM)
    with Interrupts() as interrupts:
        interrupts.check("at frame 3")
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(StudioError, match="stopped at frame 4; the same command goes on") as caught:
            for _ in range(1000):
                interrupts.check("at frame 4")
        assert caught.value.code == EXIT_INTERRUPTED
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_fault_after_a_signal_is_the_interruption() -> None:
    import os
    import signal

    with Interrupts() as interrupts:
        with pytest.raises(StudioError, match="a fault"), interrupts.as_such():
            raise StudioError("a fault")
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(StudioError, match="stopped by a signal") as caught, interrupts.as_such():
            raise StudioError("ffmpeg was ended")
        assert caught.value.code == EXIT_INTERRUPTED


def test_two_signals_at_once_are_one_wish_and_a_later_one_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    import signal

    clock = [100.0]
    monkeypatch.setattr("lipcast_studio.create.interrupt.time.monotonic", lambda: clock[0])
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a run in the background ignores it
    try:
        with Interrupts() as interrupts:
            signal.raise_signal(signal.SIGINT)
            clock[0] += 0.3
            signal.raise_signal(signal.SIGINT)
            assert interrupts.asked()
            clock[0] += 0.3
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


_INTERRUPTED = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
class Hook:
    def find_spec(self, name, path, target=None):
        if name == "torch.functional":
            try:
                signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt:  # what PyTorch's own loader makes of it
                raise RuntimeError("KeyboardInterrupt: <EMPTY MESSAGE>") from None
sys.meta_path.insert(0, Hook())
from lipcast_studio.__main__ import main
sys.exit(main(["create", "/nowhere.mp4", "-o", sys.argv[1]]))
"""


def test_a_signal_while_pytorch_is_loaded_is_one_line_and_an_exit_with_130(tmp_path: Path) -> None:
    import subprocess
    import sys

    command = [sys.executable, "-c", _INTERRUPTED, str(tmp_path / "anna")]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == EXIT_INTERRUPTED, ended.stderr
    assert ended.stderr == "lipcast: stopped by a signal while PyTorch was loaded; nothing was begun\n"
    assert not list(tmp_path.iterdir())


class _Slow:
    """A stage of one weight whose every step takes step_s seconds of a clock that only it moves."""

    name = "audio"

    def __init__(self, step_s: float) -> None:
        self.model = torch.nn.Linear(1, 1)
        self.step_s, self.now_s = step_s, 1000.0

    def loss(self, rng: np.random.Generator) -> tuple[torch.Tensor, dict[str, float]]:
        self.now_s += self.step_s
        return self.model(torch.ones(1, 1)).square().sum(), {"loss": 0.5}

    def judge(self, model: torch.nn.Module) -> float | None:
        return None

    def preview(self, model: torch.nn.Module, path: Path) -> None:
        pass


def trained(stage: _Slow, checkpoint: Path, monkeypatch: pytest.MonkeyPatch, stop_at_s: float = np.inf) -> list[str]:
    """What training 100 steps says, with the stage's clock."""
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: stage.now_s))
    said: list[str] = []
    settings = loop.Settings(100, 1e-3, judge_every=1000, save_every_s=1e9)
    with suppress(StudioError):
        loop.run(stage, settings, checkpoint, said.append, stop=lambda: stage.now_s - 1000 >= stop_at_s)
    return said


def test_training_tells_the_time_that_is_left_by_the_pace_of_this_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = trained(_Slow(2.0), tmp_path / "a.pt", monkeypatch)
    assert said[0] == "audio: step 8 of 100: loss 0.5000; 2.00 s a step, 3 min left"  # 92 steps, 184 s
    assert "audio: step 56 of 100: loss 0.5000; 2.00 s a step, 88 s left" in said
    assert [line.split(" of ")[0] for line in said[:-1]] == [f"audio: step {n}" for n in range(8, 100, 8)]  # every 16 s
    assert said[-1] == "audio: step 100 of 100: loss 0.5000"
    trained(_Slow(2.0), tmp_path / "b.pt", monkeypatch, stop_at_s=100)
    said = trained(_Slow(5.0), tmp_path / "b.pt", monkeypatch)  # goes on, on a busier machine
    assert said[0] == "audio: goes on at step 50 of 100"
    assert said[1] == "audio: step 53 of 100: loss 0.5000; 5.00 s a step, 4 min left"  # 47 steps, 235 s


def test_the_look_for_faces_tells_the_time_that_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=50.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: clock.now))
    said: list[str] = []
    tell = progress.faces_progress(400, said.append)
    for done in range(1, 401):
        clock.now += 0.125
        tell(done)
    assert said == [f"faces: frame {n} of 400; {left} s left" for n, left in ((120, 35), (240, 20), (360, 5))]
