"""The training loop and both stages, on tiny data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from lipcast_studio.errors import EXIT_INTERRUPTED, EXIT_OUTPUT, StudioError
from lipcast_studio.onnx_file import session
from lipcast_studio.training import loop
from lipcast_studio.training.audio_stage import MEL_FRAMES, AudioStage, Chunk, clip_of
from lipcast_studio.training.image_stage import SIZES, ImageStage, Pair
from lipcast_studio.training.nets import AudioBranch, AudioEncoder, Generator
from lipcast_studio.training.networks import audio_networks, export_networks, image_network, networks_of
from lipcast_studio.training.picture import inner_picture, network_input, with_inner_picture

DEMO = Path(__file__).resolve().parents[3] / "avatars/demo"
SETTINGS = loop.Settings(12, 1e-2, warm_steps=2, judge_every=4, average=True)


class Line:
    """y = 3 x, learnt from noisy pairs; its held-out error is a script where one is given."""

    name = "line"

    def __init__(self, errors: list[float] | None = None) -> None:
        torch.manual_seed(0)
        self.model = torch.nn.Sequential(torch.nn.Linear(1, 4), torch.nn.Dropout(0.2), torch.nn.Linear(4, 1))
        self.errors = errors

    def loss(self, rng: np.random.Generator) -> tuple[torch.Tensor, Mapping[str, float]]:
        x = torch.from_numpy(rng.normal(size=(8, 1)).astype(np.float32))
        loss = (self.model(x) - 3 * x).square().mean()
        return loss, {"loss": loss.item()}

    def judge(self, model: torch.nn.Module) -> float | None:
        return self.errors.pop(0) if self.errors else float((model(torch.ones(1, 1)) - 3).abs())

    def preview(self, model: torch.nn.Module, path: Path) -> None:
        path.write_text("seen")


def stop_after(count: int):
    calls = iter(range(1000))
    return lambda: next(calls) >= count


def test_a_run_that_was_stopped_three_times_has_the_weights_of_one_that_was_not(tmp_path: Path) -> None:
    whole = loop.run(Line(), SETTINGS, tmp_path / "whole.pt", lambda _: None)
    for step in (3, 7, 8):
        made = loop.load_whole(tmp_path / "parts.pt")["step"] if (tmp_path / "parts.pt").exists() else 0
        with pytest.raises(StudioError, match=f"stopped at step {step} of 12 of line") as caught:
            loop.run(Line(), SETTINGS, tmp_path / "parts.pt", lambda _: None, stop=stop_after(step - made))
        assert caught.value.code == EXIT_INTERRUPTED
    said: list[str] = []
    parts = loop.run(Line(), SETTINGS, tmp_path / "parts.pt", said.append)
    assert said[0] == "line: goes on at step 8 of 12"
    assert parts.history == whole.history
    for key, value in whole.weights.items():
        assert torch.equal(parts.weights[key], value), key


def test_a_finished_stage_is_not_trained_again(tmp_path: Path) -> None:
    first = loop.run(Line(), SETTINGS, tmp_path / "a.pt", lambda _: None)
    stage = Line()
    stage.loss = None  # type: ignore[assignment]
    again = loop.run(stage, SETTINGS, tmp_path / "a.pt", lambda _: None)
    assert again.steps == 12
    assert all(torch.equal(again.weights[key], value) for key, value in first.weights.items())
    assert not list(tmp_path.glob("*.part"))


def test_a_checkpoint_that_is_cut_off_or_of_another_network_is_named(tmp_path: Path) -> None:
    loop.run(Line(), SETTINGS, tmp_path / "a.pt", lambda _: None)
    data = (tmp_path / "a.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(data[: len(data) // 2])
    with pytest.raises(StudioError, match=r"cut\.pt: not a whole checkpoint"):
        loop.run(Line(), SETTINGS, tmp_path / "cut.pt", lambda _: None)
    other = Line()
    other.model = torch.nn.Sequential(torch.nn.Linear(1, 1))
    with pytest.raises(StudioError, match=r"a\.pt: of another network"):
        loop.run(other, SETTINGS, tmp_path / "a.pt", lambda _: None)


def test_a_disk_that_is_full_leaves_the_last_whole_checkpoint_and_is_told(tmp_path: Path) -> None:
    loop.run(Line(), SETTINGS, tmp_path / "a.pt", lambda _: None)
    before = (tmp_path / "a.pt").read_bytes()
    (tmp_path / "a.pt.part").symlink_to("/dev/full")
    with pytest.raises(StudioError, match=r"a\.pt: the checkpoint cannot be written") as caught:
        loop.save_whole(tmp_path / "a.pt", {"step": 1, "weights": torch.zeros(100_000)})
    assert caught.value.code == EXIT_OUTPUT
    assert (tmp_path / "a.pt").read_bytes() == before


def test_training_ends_when_the_held_out_part_gets_no_better_and_keeps_the_best(tmp_path: Path) -> None:
    settings = loop.Settings(1000, 1e-2, judge_every=1, patience=3)
    said: list[str] = []
    found = loop.run(Line([5.0, 4.0, 6.0, 6.0, 6.0]), settings, tmp_path / "a.pt", said.append)
    assert (found.steps, len(found.history)) == (5, 5)
    assert loop.load_whole(tmp_path / "a.pt")["best_error"] == 4.0
    assert said[-1] == "line: no better for 3 looks, ends at step 5"


def test_a_loss_that_is_not_finite_ends_the_run(tmp_path: Path) -> None:
    stage = Line()
    stage.loss = lambda rng: (torch.tensor(float("nan"), requires_grad=True), {})  # type: ignore[method-assign]
    with pytest.raises(StudioError, match="line: the loss is nan at step 1"):
        loop.run(stage, SETTINGS, tmp_path / "a.pt", lambda _: None)


class Humming:
    """A hum whose loudness is the mouth's opening."""

    def __init__(self) -> None:
        rng = np.random.default_rng(3)
        self.values = np.repeat(rng.random((30, 1)), 5, 0).astype(np.float32) * np.ones(7, np.float32)
        time = np.arange(150 * 640) / 16_000
        self.wave = (np.repeat(self.values[:, 0], 640) * 0.3 * np.sin(2 * np.pi * 180 * time)).astype(np.float32)
        self.rest = np.zeros(7, np.float32)
        self.labels = np.arange(150) % 4
        self.clip = clip_of(self.wave, self.values, self.rest, window_labels=self.labels, frame_labels=self.labels)

    def draw(self, rng: np.random.Generator) -> Chunk:
        return self.clip.draw(rng)


def test_a_chunks_frames_belong_to_its_sound() -> None:
    humming = Humming()
    loud, opened = [], []
    for seed in range(20):
        chunk = humming.clip.draw(np.random.default_rng(seed))
        assert chunk.mel.shape == (MEL_FRAMES, 80)
        centre = [round((f + 9.5) * 80 / 25) for f in range(40)]  # mel frames in the middle of video frames
        loud += list(chunk.mel[centre].max(1))
        opened += list(chunk.values[:, 0])
    assert np.corrcoef(loud, opened)[0, 1] > 0.99


@pytest.mark.parametrize("keep_encoder", [False, True])
def test_the_audio_stage_learns_and_leaves_a_kept_encoder_alone(tmp_path: Path, keep_encoder: bool) -> None:
    humming = Humming()
    held_out = (humming.wave[: 50 * 640], humming.values[:50], np.ones(50, bool))
    encoder, branch = networks_of(DEMO)
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    stage = AudioStage(humming, encoder, branch, loss_weights=[1.0] * 7, labels=4, batch=2, keep_encoder=keep_encoder,
                       held_out=held_out)  # fmt: skip
    with torch.no_grad():
        untrained = stage.judge(stage.model.eval())
    found = loop.run(stage, loop.Settings(16, 3e-3, warm_steps=2, judge_every=8), tmp_path / "audio.pt", lambda _: None)
    assert found.history[-1][1] < untrained
    trained, _ = audio_networks(found.weights)
    same = [torch.equal(value, before[key]) for key, value in trained.state_dict().items() if value.is_floating_point()]
    assert all(same) if keep_encoder else not all(same)


def test_frames_of_a_high_value_count_more_where_that_is_asked_for() -> None:
    humming, errors = Humming(), []
    for extra in (0.0, 2.0):
        encoder, branch = networks_of(DEMO)
        stage = AudioStage(humming, encoder, branch, loss_weights=[1.0] * 7, when_high=[extra] + [0.0] * 6, batch=2)
        torch.manual_seed(1)
        stage.model.eval()
        errors.append(stage.loss(np.random.default_rng(1))[1]["L1"])
    chunks = humming.clip.draw(np.random.default_rng(1)).values
    assert chunks[:, 0].max() > 0.3  # there are frames that it concerns
    assert errors[0] < errors[1] < 3 * errors[0]


def test_the_demos_audio_networks_come_back_out_of_its_onnx_files() -> None:
    encoder, branch = networks_of(DEMO)
    mel = np.random.default_rng(1).uniform(-4, 4, (3, 1, 80, 16)).astype(np.float32)
    with torch.no_grad():
        features = encoder(torch.from_numpy(mel)).numpy()
    want = session(DEMO / "audio_encoder.onnx").run(None, {"mel": mel})[0]
    np.testing.assert_allclose(features, want, atol=1e-4)
    assert branch.out.out_features == 7


def test_networks_of_another_make_are_no_start(tmp_path: Path) -> None:
    for name in ("audio_encoder.onnx", "generator.onnx"):
        (tmp_path / name).write_bytes((DEMO / "generator.onnx").read_bytes())
    with pytest.raises(StudioError, match="not an avatar whose training can be gone on from"):
        networks_of(tmp_path)
    with pytest.raises(StudioError, match="not an avatar whose training can be gone on from"):
        networks_of(tmp_path / "absent")


class Bars:
    """A gray square with a bar whose height is value 0; the reference's bar is another."""

    def __init__(self, side: int) -> None:
        self.side = side

    def picture(self, value: float) -> np.ndarray:
        out = np.full((self.side, self.side, 3), 150, np.uint8)
        middle, high = self.side // 2, round(value * self.side / 4)
        out[middle - high : middle + high, self.side // 4 : -self.side // 4] = 40
        return out

    def draw(self, rng: np.random.Generator) -> Pair:
        a, b = rng.random(2)
        values = np.zeros(7, np.float32)
        values[0] = b
        return Pair(self.picture(a), self.picture(b), values)


@pytest.mark.parametrize("name", SIZES)
def test_the_image_stage_learns_at_every_size_and_exports(tmp_path: Path, name: str) -> None:
    size = SIZES[name]
    bars = Bars(size.inner_px)
    rng = np.random.default_rng(5)
    held_out = [bars.draw(rng) for _ in range(4)]
    stage = ImageStage(bars, size, batch=2, held_out=held_out)
    with torch.no_grad():
        untouched = stage.judge(stage.model.eval())
    found = loop.run(stage, loop.Settings(10, 5e-3, warm_steps=2, judge_every=5), tmp_path / "i.pt", lambda _: None,
                     previews=tmp_path)  # fmt: skip
    assert found.history[-1][1] < untouched
    assert [p.name for p in sorted(tmp_path.glob("*.jpg"))] == ["image-000005.jpg", "image-000010.jpg"]
    encoder, branch = AudioEncoder().eval(), AudioBranch().eval()
    generator = Generator(branch, image_network(found.weights, size)).eval()
    picture = np.stack([network_input(p.reference) for p in held_out[:2]])
    rows = rng.random((2, 16, 512)).astype(np.float32)
    mel = rng.uniform(-4, 4, (2, 1, 80, 16)).astype(np.float32)
    assert export_networks(encoder, generator, mel, picture, rows, tmp_path) <= 1e-4


def test_a_picture_put_back_unchanged_changes_nothing() -> None:
    frame = np.full((200, 240, 3), 90, np.uint8)
    frame[60:120, 70:150] = (20, 160, 200)
    box = (20, 10, 188, 178)
    same = with_inner_picture(frame, box, inner_picture(frame, box))
    assert np.array_equal(same, frame)
