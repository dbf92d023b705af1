"""`lipcast avatar import` of an Ultralight folder, with the user's HuBERT or WeNet in ONNX. All weights are made up."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import lab
import numpy as np
import onnx
import onnxruntime
import pytest
import soundfile
from lipcast_studio.__main__ import main
from lipcast_studio.fbank import fbank
from lipcast_studio.find_torch import find_torch
from lipcast_studio.heard_in_windows import window_loss
from lipcast_studio.sample_encoder import normalised, write_hubert
from markers import avatars
from markers.models import Graph
from parity import mel, pipeline

find_torch()

import torch  # noqa: E402
from lipcast_studio.networks.made_up import weight  # noqa: E402
from lipcast_studio.networks.unet import UNet, UNetShape  # noqa: E402

GOLDEN = json.loads(
    (lab.ROOT / "python/lipcast_studio/networks/golden.json").read_text()
)
FRAMES, SIZE = 6, (320, 240)
BOX = (70, 50, 241, 221)


@pytest.fixture(scope="module", autouse=True)
def python() -> Iterator[None]:
    """The tests' Python stands behind `lipcast avatar`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIPCAST_PYTHON", sys.executable)
        yield


def tiny_hubert(length: int | str = "size") -> onnx.ModelProto:
    """[1, samples] -> [1, T, 1024]: tokens of 400 samples every 320, and a look at the neighbours."""
    g, rng = Graph(), np.random.default_rng(3)
    line = g.node("Unsqueeze", "input", g.constant([1], np.int64))
    first = g.constant(rng.normal(0, 1 / 20, (16, 1, 400)))
    tokens = g.node("Relu", g.node("Conv", line, first, strides=[320]))
    second = g.constant(rng.normal(0, 1 / 7, (1024, 16, 3)))
    wide = g.node("Conv", tokens, second, pads=[1, 1])
    g.node("Transpose", wide, perm=[0, 2, 1], output="output")
    return g.model({"input": [1, length]}, {"output": [1, "T", 1024]})


def tiny_wenet() -> onnx.ModelProto:
    """The tensors of the published encoder.onnx; every filterbank value and both caches count."""
    g, rng = Graph(), np.random.default_rng(4)
    shape = g.constant([1, -1], np.int64)
    squeeze = g.constant(rng.normal(0, 0.01, (67 * 80, 24)))
    narrow = g.node("MatMul", g.node("Reshape", "chunk", shape), squeeze)
    spread = g.constant(rng.normal(0, 0.3, (24, 16 * 512)))
    mixed = g.node("MatMul", g.node("Tanh", narrow), spread)
    for name in ("att_cache", "cnn_cache"):
        mixed = g.node("Add", mixed, g.node("ReduceSum", name, keepdims=0))
    count = g.node("Div", g.node("Cast", "offset", to=1), g.constant(1000.0))
    mixed = g.node("Add", mixed, count)
    rows = g.constant([1, 16, 512], np.int64)
    g.node("Reshape", mixed, rows, output="output")
    model = g.model(
        {
            "chunk": [1, 1, 67, 80],
            "offset": [1],
            "att_cache": [3, 8, 16, 128],
            "cnn_cache": [3, 1, 512, 14],
        },
        {"output": [1, 16, 512]},
    )
    model.graph.input[1].type.tensor_type.elem_type = onnx.TensorProto.INT64
    onnx.checker.check_model(model, full_check=True)
    return model


def folder_of(kind: str, folder: Path) -> Path:
    """A training folder: pictures and landmarks from 0, the U-Net's state dict alone, the extractor beside."""
    for name in ("full_body_img", "landmarks", "checkpoint"):
        (folder / name).mkdir(parents=True)
    points = np.full((110, 2), 7.5)
    points[1, 0], points[31, 0], points[52, 1] = BOX[0], BOX[2], BOX[1]
    for i in range(FRAMES):
        picture = avatars.draw_frame(i, SIZE, box=BOX, textured=True)
        cv2.imwrite(str(folder / f"full_body_img/{i}.jpg"), picture)
        (folder / f"landmarks/{i}.lms").write_text(
            "\n".join(f"{x} {y}" for x, y in points)
        )
    torch.save(weights(kind), folder / "checkpoint/best.pth")
    name, model = {
        "hubert": ("hubert.onnx", tiny_hubert),
        "wenet": ("encoder.onnx", tiny_wenet),
    }[kind]
    (folder / name).write_bytes(model().SerializeToString())
    return folder


@functools.cache
def _made_up(kind: str) -> dict[str, torch.Tensor]:
    table = GOLDEN[f"ultralight_unet_160_{kind}"]["state_dict"]
    return {key: weight(key, shape) for key, shape in table.items()}


def weights(kind: str) -> dict[str, torch.Tensor]:
    """A copy of its own, to be changed."""
    return {key: value.clone() for key, value in _made_up(kind).items()}


@pytest.fixture(scope="module", params=["hubert", "wenet"])
def imported(request: pytest.FixtureRequest, session_dir: Path) -> tuple[str, Path]:
    """(audio kind, the avatar), by the one command."""
    kind = request.param
    out = session_dir / f"ultralight_{kind}"
    source = folder_of(kind, session_dir / f"folder_{kind}")
    run = lab.lipcast("avatar", "import", source, "-o", out)
    assert f"best.pth, 160 px, {kind}; ONNX Runtime and PyTorch differ" in run.stderr
    return kind, out


def whole_clip_features(kind: str, samples: np.ndarray, frames: int) -> np.ndarray:
    """[frames, F] as the original computes them, but HuBERT's input levelled window by window."""
    model = {"hubert": tiny_hubert, "wenet": tiny_wenet}[kind]()
    run = onnxruntime.InferenceSession(model.SerializeToString())
    if kind == "wenet":
        caches = {
            "offset": np.array([100], np.int64),
            "att_cache": np.zeros((3, 8, 16, 128), np.float32),
            "cnn_cache": np.zeros((3, 1, 512, 14), np.float32),
        }
        table = fbank(np.pad(samples, (32 * 160, 35 * 160 + 16000))).astype(np.float32)
        chunks = [table[5 * i : 5 * i + 67][None, None] for i in range(frames)]
        return np.stack(
            [run.run(None, {"chunk": c, **caches})[0].reshape(-1) for c in chunks]
        )
    rows = []
    for block in range(-(-frames // 10)):  # 2.005 s around ten frames
        begin = block * 6400 - 20480
        window = np.pad(samples, (20480, 40000))[begin + 20480 :][:32080]
        tokens = run.run(None, {"input": normalised(window[None])})[0][0]
        rows.append(tokens[64:84].reshape(10, 2048))
    return np.concatenate(rows)[:frames].astype(np.float32)


def test_the_engine_draws_it_with_the_networks_own_pictures(
    imported: tuple[str, Path], sentence: lab.Samples, tmp_path: Path
) -> None:
    """Against PyTorch on the checkpoint and the extractor alone: 2 levels in the box, nothing outside."""
    kind, folder = imported
    fps = 20 if kind == "wenet" else 25
    speech = sentence[5000 : 5000 + 16000 * 8 // fps]
    wav = lab.write_wav(tmp_path / "a.wav", speech)
    drawn = lab.pictures(folder, wav, "--idle", "model")
    assert len(drawn) == 8
    shape = UNetShape.of(weights(kind))
    network = UNet(shape)
    network.load_state_dict(weights(kind))
    network.eval()
    samples, _ = mel.read_audio(str(wav))
    features = np.pad(whole_clip_features(kind, samples, 16), ((8, 0), (0, 0)))
    half = int(np.prod(shape.audio_shape)) // features.shape[1] // 2
    avatar = pipeline.open_avatar(folder)
    x0, y0, x1, y1 = BOX
    for i, got in enumerate(drawn):
        frame = avatar.frame(pipeline.background_index(i, FRAMES, "bounce"))
        crop = cv2.resize(np.ascontiguousarray(frame[y0:y1, x0:x1]), (168, 168))
        inner = crop[4:164, 4:164].copy()
        masked = cv2.rectangle(inner.copy(), (5, 5, 150, 145), (0, 0, 0), -1)
        picture = np.concatenate([inner, masked], axis=2).transpose(2, 0, 1)[None]
        sound = features[8 + i - half : 8 + i + half].reshape(1, *shape.audio_shape)
        with torch.no_grad():
            mouth = network(
                torch.from_numpy(picture.astype(np.float32) / 255),
                torch.from_numpy(sound),
            )[0].numpy()
        crop[4:164, 4:164] = (mouth.transpose(1, 2, 0) * 255).astype(np.uint8)
        want = frame.copy()
        want[y0:y1, x0:x1] = cv2.resize(crop, (x1 - x0, y1 - y0))
        difference = np.abs(got.astype(int) - want)
        assert difference[y0:y1, x0:x1].max() <= 2, f"frame {i}"
        difference[y0:y1, x0:x1] = 0
        assert difference.max() == 0, f"frame {i} outside the box"
        assert (got != frame).any(), f"frame {i} is not drawn"


def attentive_hubert(share: float) -> onnx.ModelProto:
    """tiny_hubert, and at every token a share of the mean over all that it hears, as attention has."""
    model = tiny_hubert()
    model.graph.node[-1].output[0] = "own"
    everywhere = onnx.helper.make_node("ReduceMean", ["own"], ["mean"], axes=[1])
    scale = onnx.numpy_helper.from_array(np.float32(share), "share")
    some = onnx.helper.make_node("Mul", ["mean", "share"], ["part"])
    both = onnx.helper.make_node("Add", ["own", "part"], ["output"])
    model.graph.node.extend([everywhere, some, both])
    model.graph.initializer.append(scale)
    onnx.checker.check_model(model, full_check=True)
    return model


def test_hubert_in_windows_is_compared_with_the_whole_clip(
    sentence: lab.Samples, tmp_path: Path
) -> None:
    """What is told is what a computation of its own finds; it grows with the reach of the network."""
    found = []
    for share in (0.0, 2.0):
        source, target = tmp_path / f"{share}.onnx", tmp_path / f"package_{share}.onnx"
        source.write_bytes(attentive_hubert(share).SerializeToString())
        write_hubert(source, target, lambda _: None)
        samples = sentence[:70_000].astype(np.float32)
        run = onnxruntime.InferenceSession(str(source))

        def heard(
            part: np.ndarray, run: onnxruntime.InferenceSession = run
        ) -> np.ndarray:
            return run.run(None, {"input": normalised(part[None])})[0][0]

        whole = heard(samples)[:218].reshape(109, 2048)
        padded = np.pad(samples, (20480, 40000))
        ours = [heard(padded[at : at + 32080])[64:84] for at in range(0, 70_000, 6400)]
        ours = np.concatenate(ours)[:218].reshape(109, 2048)
        spread = whole.std(axis=0)
        spread = np.sqrt((spread**2).mean())
        loss = window_loss(source, target, samples)
        assert loss.rms == pytest.approx(
            np.sqrt(((ours - whole) ** 2).mean()) / spread, rel=1e-3
        )
        start = np.sqrt(((ours - whole)[:10] ** 2).mean()) / spread
        assert loss.rms_at_start == pytest.approx(start, rel=1e-3)
        joints = np.arange(10, 109, 10)
        steps = [
            np.sqrt(((f[joints] - f[joints - 1]) ** 2).sum()) for f in (ours, whole)
        ]
        assert loss.joint_steps == pytest.approx(steps[0] / steps[1], rel=1e-3)
        found.append(loss.rms)
    assert found[1] > found[0] > 0


def test_the_import_tells_what_windows_cost_or_why_it_does_not_know(
    sentence: lab.Samples, tmp_path: Path
) -> None:
    source = folder_of("hubert", tmp_path / "folder")
    said = []
    for step in range(3):
        if step == 1:
            lab.write_wav(source / "aud.wav", np.tile(sentence, 2)[: 16_000 * 6])
        if step == 2:
            (source / "hubert.onnx").write_bytes(tiny_hubert(32080).SerializeToString())
        run = lab.lipcast("avatar", "import", source, "-o", tmp_path / f"o{step}")
        (line,) = [one for one in run.stderr.splitlines() if "whole clip" in one]
        said.append(line)
    assert "there is no speech to compare on" in said[0]
    assert re.search(
        r"windows of 2 s are \d\.\d\d standard deviations from the", said[1]
    )
    assert "hubert.onnx takes 32080 samples and no other number" in said[2]


def test_inspect_accepts_it_and_its_rate_is_the_models(
    imported: tuple[str, Path],
) -> None:
    kind, folder = imported
    lab.lipcast("inspect", folder, "--json")
    manifest = lab.read_manifest(folder)
    assert manifest["generator"]["family"] == "ultralight"
    assert manifest["audio"]["kind"] == kind
    assert manifest["fps"]["num"] == {"hubert": 25, "wenet": 20}[kind]


def test_streamed_in_any_pieces_it_is_the_same(
    imported: tuple[str, Path], sentence: lab.Samples, tmp_path: Path
) -> None:
    kind, folder = imported
    wav = lab.write_wav(tmp_path / "a.wav", sentence[:14001])
    data = soundfile.read(wav, dtype="int16")[0].tobytes()
    flags = ("--idle", "model", "--rate", 16000)
    whole = lab.hashes(folder, wav, *flags[:2])
    for size, threads in ((501, 1), (7777, 3)):
        pieces = lab.cut(data, size)
        got = lab.hashes(folder, "-", *flags, "--threads", threads, stdin=pieces)
        assert got == whole, f"{kind}, pieces of {size}"


def refused(out: Path, flags: tuple[object, ...], *said: str) -> None:
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors):
        code = main(["import", *map(str, flags), "-o", str(out)])
    last = errors.getvalue().splitlines()[-1]
    assert code == 3 and all(text in last for text in said), last
    assert not out.parent.exists() or not list(out.parent.iterdir())


def test_an_extractor_that_does_not_fit_is_refused_with_its_tensors(
    session_dir: Path, imported: tuple[str, Path], tmp_path: Path
) -> None:
    kind, avatar = imported
    source = session_dir / f"folder_{kind}"
    exported = ("--checkpoint", avatar / "generator.onnx")
    wrong = {"hubert": tiny_wenet, "wenet": tiny_hubert}[kind]()
    (tmp_path / "wrong.onnx").write_bytes(wrong.SerializeToString())
    flags = (source, *exported, "--audio-encoder", tmp_path / "wrong.onnx")
    refused(tmp_path / "o/a", flags, "wrong.onnx", wrong.graph.input[0].name, "want")
    (tmp_path / "half.onnx").write_bytes(wrong.SerializeToString()[:-900])
    flags = (source, *exported, "--audio-encoder", tmp_path / "half.onnx")
    refused(tmp_path / "o/a", flags, "half.onnx")
    flags = (source, *exported, "--audio-encoder", source / "checkpoint/best.pth")
    refused(tmp_path / "o/a", flags, "best.pth", f"{kind} network as .onnx")
    if kind == "hubert":
        fixed = tmp_path / "fixed.onnx"
        fixed.write_bytes(tiny_hubert(16000).SerializeToString())
        flags = (source, *exported, "--audio-encoder", fixed)
        refused(tmp_path / "o/a", flags, "[1, 16000]", "any or 32080")
