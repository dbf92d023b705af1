"""The markers themselves, so that a test of the engine never fails because of its ruler."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from markers import avatars, models, synctalk
from parity import pipeline


def run(model: onnx.ModelProto | bytes, **feed: np.ndarray) -> np.ndarray:
    """The first output."""
    data = model if isinstance(model, bytes) else model.SerializeToString()
    return ort.InferenceSession(data, providers=["CPUExecutionProvider"]).run(
        None, feed
    )[0]


def picture_and_audio(batch: int = 2, side: int = 160) -> tuple[np.ndarray, np.ndarray]:
    """Random [N,6,S,S] and [N,32,16,16] whose row 9 holds 0.25, 0.5, .."""
    rng = np.random.default_rng(2)
    image = rng.random((batch, 6, side, side), np.float32)
    rows = rng.random((batch, 16, 512), np.float32)
    rows[:, models.CENTRE_ROW] = (np.arange(batch, dtype=np.float32)[:, None] + 1) / 4
    return image, rows.reshape(batch, 32, 16, 16)


def test_m1_returns_its_unmasked_input() -> None:
    image, audio = picture_and_audio()
    assert (run(models.generator("M1"), input=image, audio=audio) == image[:, :3]).all()


def test_m2_paints_the_mask_with_the_frames_own_window_and_nothing_else() -> None:
    image, audio = picture_and_audio()
    out = run(models.generator("M2"), input=image, audio=audio)
    x, y, width, height = models.MASK
    for n, level in enumerate((0.25, 0.5)):
        inside = out[n, :, y : y + height, x : x + width]
        np.testing.assert_allclose(inside, level, atol=1e-6)
        out[n, :, y : y + height, x : x + width] = image[
            n, :3, y : y + height, x : x + width
        ]
    np.testing.assert_allclose(out, image[:, :3], atol=1e-7)


@pytest.mark.parametrize("emit", sorted(models.BAD_VALUES))
def test_m3_emits_its_value_only_above_its_threshold(emit: str) -> None:
    image, audio = picture_and_audio()
    out = run(models.generator("M3", emit=emit, above=0.4), input=image, audio=audio)
    assert (out[0] == image[0, :3]).all()
    x, y, width, height = models.MASK
    inside = out[1, :, y : y + height, x : x + width]
    np.testing.assert_array_equal(inside, np.float32(models.BAD_VALUES[emit]))


def test_m4_is_m1_and_takes_longer_the_more_steps_it_has() -> None:
    image, audio = picture_and_audio(1)
    out = run(models.generator("M4", steps=4), input=image, audio=audio)
    np.testing.assert_array_equal(out, image[:, :3])


@pytest.mark.parametrize(("kind", "columns"), [("mean", 16), ("onset", 4)])
def test_encoders_follow_the_mean_of_their_columns(kind: str, columns: int) -> None:
    mel = np.random.default_rng(4).uniform(-4, 4, (3, 1, 80, 16)).astype(np.float32)
    out = run(models.encoder(kind), mel=mel)
    want = (mel[..., :columns].mean(axis=(1, 2, 3)) + 4) / 8
    np.testing.assert_allclose(out, np.repeat(want[:, None], 512, axis=1), atol=1e-6)
    assert (run(models.encoder(kind), mel=np.full_like(mel, -4)) == 0).all()


def test_every_row_of_the_context_changes_the_random_network() -> None:
    image, audio = picture_and_audio(1)
    model = models.generator("random").SerializeToString()
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    base = session.run(None, {"input": image, "audio": audio})[0]
    assert base.std() > 0.02
    for row in range(16):
        changed = audio.reshape(1, 16, 512).copy()
        changed[0, row] = 1 - changed[0, row]
        feed = {"input": image, "audio": changed.reshape(audio.shape)}
        assert np.abs(session.run(None, feed)[0] - base).max() > 1 / 255


def test_twins_compute_what_they_are_twins_of() -> None:
    image, audio = picture_and_audio(1)
    m1 = models.generator("M1")
    nhwc = run(
        models.channels_last(m1), input=image.transpose(0, 2, 3, 1).copy(), audio=audio
    )
    assert (nhwc.transpose(0, 3, 1, 2) == image[:, :3]).all()
    half = run(
        models.half_precision(m1),
        input=image.astype(np.float16),
        audio=audio.astype(np.float16),
    )
    assert (half == image[:, :3].astype(np.float16)).all()


def test_broken_twins_are_refused_by_the_runtime(tmp_path: Path) -> None:
    m1 = models.generator("M1")
    path = models.external_data(models.generator("random"), tmp_path, "g.onnx")
    image, audio = picture_and_audio(1)
    for data, said in (
        (models.future_opset(m1), "opset"),
        (models.self_made_op(m1), "not a registered"),
        (b"", "No graph|[Mm]odel"),
    ):
        with pytest.raises(Exception, match=said):
            run(data, input=image, audio=audio)
    with pytest.raises(Exception, match="data"):
        ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("width", [64, 320, 1920])
def test_a_bar_code_is_read_back_also_after_jpeg(width: int) -> None:
    for number in (0, 1, 25, 49, 1234, 4095):
        frame = avatars.draw_frame(number, (width, 240))
        assert avatars.read_barcode(frame) == number
        packed = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 75])[1]
        assert avatars.read_barcode(cv2.imdecode(packed, cv2.IMREAD_COLOR)) == number
    with pytest.raises(ValueError, match="no bar code"):
        avatars.read_barcode(np.full((240, width, 3), 90, np.uint8))


@pytest.mark.parametrize("size", [(64, 64), (320, 240), (1280, 720)])
def test_the_default_box_lies_inside_the_frame_and_below_the_bar_code(
    size: tuple[int, int],
) -> None:
    box = avatars.default_box(size)
    assert box is not None
    x0, y0, x1, y1 = box
    assert 0 <= x0 < x1 <= size[0]
    assert 2 * avatars.barcode_cell_px(size[0]) < y0 < y1 <= size[1]
    assert x1 - x0 == y1 - y0


def test_the_reference_pipeline_renders_m1_invisibly(
    tmp_path: Path, speech_wav: Path
) -> None:
    folder = avatars.make_avatar(tmp_path / "m1", frames=10, textured=True)
    avatar = pipeline.open_avatar(folder)
    for i, frame in enumerate(pipeline.render(folder, speech_wav)):
        difference = np.abs(frame.astype(int) - avatar.frame(i % 10))
        assert difference.max() <= 1
        if i == 24:
            break


@pytest.mark.parametrize("inner_px, macs", [(160, 3143), (320, 4886)])
def test_networks_at_full_size_cost_what_the_trained_ones_do(
    inner_px: int, macs: int
) -> None:
    model, found = synctalk.unet(inner_px)
    assert round(found / 1e6) == macs
    image, audio = (
        np.full(s, 0.5, np.float32)
        for s in [(1, 6, inner_px, inner_px), (1, 32, 16, 16)]
    )
    out = run(model, input=image, audio=audio)
    assert out.shape == (1, 3, inner_px, inner_px) and np.isfinite(out).all()
    encoder, found = synctalk.audio_encoder()
    assert round(found / 1e6) == 93
    assert run(encoder, mel=np.zeros((2, 1, 80, 16), np.float32)).shape == (2, 512)
