"""Checks of the committed avatar, of the measure, and of what feeds the training. No synthesis."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from lipcast_studio.demo import measure, mouth, package, prompts, speech, train_audio, train_image
from lipcast_studio.demo.visemes import JAW, PRESS, TARGETS, mouth_track
from lipcast_studio.training import agreement, mel
from lipcast_studio.training.image_stage import SIZES
from lipcast_studio.training.nets import AudioBranch, AudioEncoder, Generator, ImageNet
from lipcast_studio.training.networks import export_networks

AVATAR = Path(__file__).resolve().parents[3] / "avatars" / "demo"
TRUTH = sorted((AVATAR / "truth").glob("*.json"))


def _session(name: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(AVATAR / name), options, providers=["CPUExecutionProvider"])


def _frames(count: int) -> list[np.ndarray]:
    video = cv2.VideoCapture(str(AVATAR / "frames.mp4"))
    return [video.read()[1] for _ in range(count)]


def test_files_have_the_hashes_of_the_manifest() -> None:
    manifest = json.loads((AVATAR / "avatar.json").read_text())
    for name, entry in manifest["files"].items():
        data = (AVATAR / name).read_bytes()
        assert len(data) == entry["bytes"], name
        assert hashlib.sha256(data).hexdigest() == entry["sha256"], name
    assert (AVATAR / "MODEL_CARD.md").exists()
    assert (AVATAR / "LICENCES.md").exists()


def test_package_is_at_most_8_mb() -> None:
    assert sum(p.stat().st_size for p in AVATAR.rglob("*") if p.is_file()) <= 8_000_000


def test_every_box_is_a_square_inside_the_picture() -> None:
    manifest = json.loads((AVATAR / "avatar.json").read_text())
    boxes = json.loads((AVATAR / "boxes.json").read_text())["boxes"]
    assert len(boxes) == manifest["frame_count"]
    for x0, y0, x1, y1 in boxes:
        assert 0 <= x0 < x1 <= manifest["width"]
        assert 0 <= y0 < y1 <= manifest["height"]
        assert x1 - x0 == y1 - y0


def test_onnx_runtime_gives_what_pytorch_gave() -> None:
    with np.load(AVATAR / "truth" / "network_io.npz") as stored:
        encoder, generator = _session("audio_encoder.onnx"), _session("generator.onnx")
        features = encoder.run(None, {"mel": stored["mel"]})[0]
        np.testing.assert_allclose(features, stored["features"], atol=1e-4)
        picture = stored["picture"].astype(np.float32) / 255
        audio = stored["rows"].reshape(-1, 32, 16, 16)
        output = generator.run(None, {"input": picture, "audio": audio})[0]
        np.testing.assert_allclose(output, stored["output"], atol=1e-4)
        for i in range(len(picture)):  # a batch is the same as its parts
            alone = generator.run(None, {"input": picture[i : i + 1], "audio": audio[i : i + 1]})[0]
            np.testing.assert_allclose(alone[0], output[i], atol=1e-5)


def test_mel_equals_the_formula_written_out() -> None:
    rng = np.random.default_rng(3)
    wave = rng.uniform(-0.5, 0.5, 2000)
    emphasised = np.array([wave[0]] + [wave[n] - 0.97 * wave[n - 1] for n in range(1, len(wave))])
    padded = np.concatenate([np.zeros(400), emphasised, np.zeros(400)])
    got = mel.log_mel(wave.astype(np.float32))
    assert got.shape == (11, 80)
    bank = mel.mel_bank()
    k = np.arange(401)[:, None]
    n = np.arange(800)[None]
    for t in (0, 5, 10):
        frame = padded[200 * t : 200 * t + 800] * (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(800) / 800))
        magnitude = np.abs((frame * np.exp(-2j * np.pi * k * n / 800)).sum(1))
        decibels = 20 * np.log10(np.maximum(1e-5, bank @ magnitude)) - 20
        want = np.clip(8 * (decibels + 100) / 100 - 4, -4, 4)
        np.testing.assert_allclose(got[t], want, atol=1e-4)


def test_mel_bank_is_slaneys() -> None:
    bank = mel.mel_bank()
    areas = bank.sum(1) * 20  # 20 Hz a bin; every triangle has area 1, the narrow ones are sampled coarsely
    assert np.all(np.abs(areas[20:] - 1) < 0.1)
    assert bank.argmax(1)[0] * 20 == pytest.approx(100, abs=20)
    assert 7300 < bank.argmax(1)[-1] * 20 < 7600


def test_a_window_begins_every_third_or_fourth_mel_frame() -> None:
    assert [mel.window_start(i) for i in (0, 1, 5, 10, 24)] == [0, 3, 16, 32, 76]


def test_closed_lips_follow_every_m_b_and_p() -> None:
    track = mouth_track([("sil", 0, 0.5), ("a", 0.5, 0.7), ("pbm", 0.7, 0.8), ("a", 0.8, 1.0), ("sil", 1.0, 1.5)], 1.5)
    assert track.shape == (38, 7)
    assert track[18, 3] > 0.85
    assert track[14, 0] > 0.6
    assert np.all(track[:5] < 0.02)


def test_lag_is_positive_when_the_output_is_late() -> None:
    truth = np.random.default_rng(1).normal(size=120).cumsum()
    assert agreement.best_lag(np.roll(truth, 5), truth) == 5
    assert agreement.best_lag(truth, truth) == 0


def test_a_pressed_mouth_is_painted_narrower_than_an_open_one() -> None:
    assert mouth.opening_px(np.array(TARGETS["pbm"])) == 0
    assert mouth.opening_px(np.array(TARGETS["a"])) > 30


def test_the_loop_keeps_its_mouth_closed() -> None:
    boxes = json.loads((AVATAR / "boxes.json").read_text())["boxes"]
    for frame, box in zip(_frames(40), boxes, strict=False):
        # OpenCV decodes with the BT.601 matrix, which darkens the lip line: 77 px here, 46 with the file's own BT.709
        assert measure.opening_area(measure.inner_picture(frame, box)) <= measure.CLOSED_AREA_PX + 20


@pytest.mark.parametrize("path", TRUTH, ids=lambda p: p.stem)
def test_truth_areas_follow_the_true_values(path: Path) -> None:
    truth = json.loads(path.read_text())
    assert len(truth["values"]) == truth["frame_count"] == len(truth["area_px"]) == len(truth["press"])
    gaps = np.array([mouth.opening_px(np.array(v)) for v in truth["values"]])
    assert agreement.correlation(gaps, np.array(truth["area_px"])) > 0.92
    assert measure.closed_share(np.array(truth["area_px"]), np.array(truth["press"])) > 0.85


def test_silence_keeps_the_mouth_closed() -> None:
    encoder, generator = _session("audio_encoder.onnx"), _session("generator.onnx")
    features = encoder.run(None, {"mel": mel.windows(np.zeros(16_000, np.float32))})[0]
    context = mel.contexts(features, 25)
    boxes = json.loads((AVATAR / "boxes.json").read_text())["boxes"]
    for i, frame in enumerate(_frames(25)):
        inner = measure.inner_picture(frame, boxes[i])
        picture = inner.transpose(2, 0, 1).astype(np.float32) / 255
        masked = picture.copy()
        masked[:, 5:150, 5:155] = 0
        output = generator.run(None, {"input": np.concatenate([picture, masked])[None], "audio": context[i : i + 1]})[0][0]
        area = measure.opening_area((output * 255).astype(np.uint8).transpose(1, 2, 0))
        assert area <= measure.CLOSED_AREA_PX


def test_the_demos_speech_and_pictures_go_through_the_studios_training(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    (tmp_path / "speech").mkdir()
    visemes = [("sil", 0.0, 0.5), ("a", 0.5, 1.5), ("pbm", 1.5, 1.7), ("i", 1.7, 3.0)]
    clips = [speech.Clip(rng.normal(0, 0.1, 48_000).astype(np.float32), visemes)] * 2
    for source in speech.SOURCES:
        speech.save(tmp_path / "speech" / f"{source.name}.npz", clips if source.name == "flite-slt" else [])
    (tmp_path / "pairs").mkdir()
    pictures = rng.integers(0, 255, (2, 1 + train_image.MOUTHS, 160, 160, 3)).astype(np.uint8)
    np.savez(tmp_path / "pairs/00.npz", pictures=pictures, mouths=rng.random((2, 1 + train_image.MOUTHS, 7)))
    said: list[str] = []
    train_audio.train(tmp_path, steps=1, log=said.append)
    train_image.train(tmp_path, steps=1, log=said.append)
    encoder, generator = package.load_models(tmp_path)
    values = generator.values(torch.zeros(1, 32, 16, 16))
    assert values.shape == (1, 7)
    assert encoder(torch.zeros(1, 1, 80, 16)).shape == (1, 512)
    assert train_audio.train(tmp_path, steps=1, log=said.append)  # both are done: nothing is trained again
    assert sum("step 1 of 1" in line for line in said) == 2


def test_prompts_are_those_that_are_spoken_as_written() -> None:
    lines = ["; A comment: of four words here\n", "beep: [this is a simple beep tone]\n", "press: Please press 1 to go on.\n",
             "busy: All circuits, are busy-now.\n", "goodbye: Goodbye.\n", "\n"]  # fmt: skip
    assert list(prompts.sentences(lines)) == [("busy", "all circuits are busy now")]


def test_a_press_gain_closes_lips_and_is_told_where_it_closes_an_open_mouth() -> None:
    truth = np.zeros((4, 7), np.float32)
    truth[:2, PRESS], truth[2:, JAW] = 1, 1
    heard = truth.copy()
    heard[:, JAW] = 1
    heard[:, PRESS] = [0.45, 0.9, 0.1, 0.6]  # one m is heard weakly, one open mouth has something of an m
    plain, *_, loud = prompts.choices(heard, truth)
    assert (plain.press_gain, plain.closed, plain.wrongly_closed) == (1.0, 0.5, 0.0)
    assert (loud.press_gain, loud.closed, loud.wrongly_closed) == (2.0, 1.0, 0.5)
    assert loud.r < 1


def test_the_shipped_networks_are_the_ones_that_create_trains(tmp_path: Path) -> None:
    """As many nodes of each kind and weights of each shape as the studio's own classes export."""
    torch.manual_seed(1)
    encoder, branch = AudioEncoder().eval(), AudioBranch().eval()
    generator = Generator(branch, ImageNet(SIZES["s"].widths), (1.0,) * 7).eval()
    for network in (encoder, generator):  # weights that are equal would be stored once
        for values in network.parameters():
            values.data.normal_(0, 0.05)
    pictures, rows = np.zeros((2, 6, 160, 160), np.float32), np.zeros((2, 16, 512), np.float32)
    export_networks(encoder, generator, np.zeros((2, 1, 80, 16), np.float32), pictures, rows, tmp_path)
    for name in ("audio_encoder.onnx", "generator.onnx"):
        made, shipped = (onnx.load(str(folder / name)).graph for folder in (tmp_path, AVATAR))
        for parts in (lambda graph: [node.op_type for node in graph.node],
                      lambda graph: [list(one.dims) for one in graph.initializer],
                      lambda graph: [one.name for one in (*graph.input, *graph.output)]):  # fmt: skip
            assert sorted(parts(shipped)) == sorted(parts(made)), name
