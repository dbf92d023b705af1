"""`lipcast avatar import` of a Wav2Lip network and a video. The weights are made up, the person a drawn one."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import lab
import numpy as np
import pytest
from lipcast_studio.__main__ import main
from lipcast_studio.find_torch import find_torch
from lipcast_studio.onnx_file import session
from markers import avatars, models
from parity import mel, windows

find_torch()

import torch  # noqa: E402
from lipcast_studio.networks.made_up import network_input, weight  # noqa: E402
from lipcast_studio.networks.wav2lip import Wav2Lip  # noqa: E402

SIZE, FRAMES = (320, 240), 30
BOX = (90, 40, 230, 220)
BOX_FLAG = ("--box", "90,40,140,180")


@functools.cache
def _made_up() -> dict[str, torch.Tensor]:
    return {
        key: weight(key, value.shape) for key, value in Wav2Lip().state_dict().items()
    }


def weights() -> dict[str, torch.Tensor]:
    """A copy of its own, to be changed."""
    return {key: value.clone() for key, value in _made_up().items()}


@pytest.fixture(scope="module", autouse=True)
def python() -> Iterator[None]:
    """The tests' Python stands behind `lipcast avatar`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIPCAST_PYTHON", sys.executable)
        yield


def save_checkpoint(path: Path) -> None:
    """As its training saves it: a dict with the optimiser beside, keys of DataParallel."""
    state = {"module." + key: value for key, value in weights().items()}
    torch.save({"state_dict": state, "optimizer": None, "global_step": 7}, path)


@pytest.fixture(scope="module")
def checkpoint(session_dir: Path) -> Path:
    save_checkpoint(session_dir / "wav2lip_gan.pth")
    return session_dir / "wav2lip_gan.pth"


@pytest.fixture(scope="module")
def video(session_dir: Path) -> Path:
    """30 frames at 30000/1001 a second, with sound."""
    path = session_dir / "Анна 1.mp4"
    frames = [
        avatars.draw_frame(i, SIZE, box=BOX, textured=True) for i in range(FRAMES)
    ]
    avatars.write_video(path, frames, (30000, 1001))
    return path


@pytest.fixture(scope="module")
def imported(checkpoint: Path, video: Path, session_dir: Path) -> Path:
    """By the one command."""
    out = session_dir / "wav2lip"
    run = lab.lipcast(
        "avatar", "import", checkpoint, "--video", video, *BOX_FLAG, "-o", out
    )
    assert "wav2lip_gan.pth, 96 px; ONNX Runtime and PyTorch differ by" in run.stderr
    assert f"frames: {FRAMES} of 320x240, 30000/1001 a second" in run.stderr
    return out


def refused(out: Path, flags: tuple[object, ...], *said: str, code: int = 3) -> None:
    """In this process: the exit code, the reason, nothing left behind."""
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors):
        got = main(["import", *map(str, flags), "-o", str(out)])
    assert got == code, errors.getvalue()
    last = errors.getvalue().splitlines()[-1]
    assert last.startswith("lipcast: ") and all(text in last for text in said), last
    assert not out.parent.exists() or not list(out.parent.iterdir())


def test_a_checkpoint_and_a_video_become_an_avatar_that_inspect_accepts(
    imported: Path,
) -> None:
    manifest = lab.read_manifest(imported)
    assert manifest["fps"] == {"num": 30000, "den": 1001}
    assert manifest["generator"]["family"] == "wav2lip"
    boxes = json.loads((imported / "boxes.json").read_text())["boxes"]
    assert boxes == [list(BOX)] * FRAMES
    lab.lipcast("inspect", imported, "--json")


def test_the_engine_draws_it_with_the_networks_own_pictures(
    imported: Path, checkpoint: Path, speech_wav: Path, tmp_path: Path
) -> None:
    """Against PyTorch on the checkpoint, fed by the reference: within 2 levels, nothing changed outside the box."""
    wav = tmp_path / "short.wav"
    lab.ffmpeg("-i", speech_wav, "-t", 0.4, "-c:a", "pcm_s16le", wav)
    # The engine's own backgrounds, so that no second video decoder takes part.
    silent = lab.write_wav(tmp_path / "silent.wav", np.zeros(16000, np.float32))
    sources = lab.pictures(imported, silent, "--fps", 25)
    drawn = lab.pictures(imported, wav, "--idle", "model", "--fps", 25)
    assert len(drawn) == 10
    network = Wav2Lip()
    network.load_state_dict(weights())
    network.eval()
    samples, rate_hz = mel.read_audio(str(wav))
    followed = np.concatenate([mel.to_model_rate(samples, rate_hz), np.zeros(16000)])
    table = windows.cut(mel.log_mel(followed, "reflect"), 10)
    x0, y0, x1, y1 = BOX
    for i, got in enumerate(drawn):
        frame = sources[i]
        face = cv2.resize(np.ascontiguousarray(frame[y0:y1, x0:x1]), (96, 96))
        masked = face.copy()
        masked[48:] = 0
        picture = np.concatenate([masked, face], axis=2).transpose(2, 0, 1)[None] / 255
        with torch.no_grad():
            mouth = network(
                torch.from_numpy(table[i][None, None]),
                torch.from_numpy(picture.astype(np.float32)),
            )[0].numpy()
        want = frame.copy()
        levels = (mouth.transpose(1, 2, 0) * 255).astype(np.uint8)
        want[y0:y1, x0:x1] = cv2.resize(levels, (x1 - x0, y1 - y0))
        difference = np.abs(got.astype(int) - want)
        assert difference[y0:y1, x0:x1].max() <= 2, f"frame {i}"
        difference[y0:y1, x0:x1] = 0
        assert difference.max() == 0, f"frame {i} outside the box"
        assert (got != frame).any(), f"frame {i} is not drawn"


def test_a_picture_is_an_avatar_of_one_frame(imported: Path, tmp_path: Path) -> None:
    wav = lab.write_wav(tmp_path / "a.wav", lab.speech_like(0.2))
    picture = tmp_path / "anna.png"
    cv2.imwrite(str(picture), avatars.draw_frame(0, (321, 241), box=BOX))
    flags = (imported / "generator.onnx", "--video", picture, *BOX_FLAG)
    assert main(["import", *map(str, flags), "-o", str(tmp_path / "a")]) == 0
    same = (tmp_path / "a/generator.onnx").read_bytes()
    assert same == (imported / "generator.onnx").read_bytes()
    assert len(lab.hashes(tmp_path / "a", wav)) == 5


def test_a_larger_twin_is_imported_as_onnx_and_drawn(
    video: Path, tmp_path: Path
) -> None:
    wav = lab.write_wav(tmp_path / "a.wav", lab.speech_like(0.2))
    model = models.generator("random", inner_px=288, sound=(1, 80, 16))
    (tmp_path / "twin.onnx").write_bytes(model.SerializeToString())
    flags = (tmp_path / "twin.onnx", "--video", video, *BOX_FLAG)
    assert main(["import", *map(str, flags), "-o", str(tmp_path / "a")]) == 0
    generator = lab.read_manifest(tmp_path / "a")["generator"]
    assert generator["inner_px"] == 288
    assert generator["mask"] == {"x": 0, "y": 144, "width": 288, "height": 144}
    assert len(lab.hashes(tmp_path / "a", wav)) == 6  # of 30000/1001 a second


def test_the_ending_of_a_network_may_be_in_capitals(tmp_path: Path) -> None:
    model = models.generator("random", inner_px=96, sound=(1, 80, 16))
    (tmp_path / "WAV2LIP.ONNX").write_bytes(model.SerializeToString())
    picture = tmp_path / "anna.png"
    cv2.imwrite(str(picture), avatars.draw_frame(0, SIZE, box=BOX, textured=True))
    flags = (tmp_path / "WAV2LIP.ONNX", "--video", picture, *BOX_FLAG)
    assert main(["import", *map(str, flags), "-o", str(tmp_path / "a")]) == 0
    lab.lipcast("inspect", tmp_path / "a", "--json")


def test_boxes_of_each_frame_come_from_a_file_and_frames_without_a_face_are_named(
    imported: Path, video: Path, tmp_path: Path
) -> None:
    """Case 62: a frame without a face does not end the run."""
    boxes: list[object] = [list(BOX)] * FRAMES
    boxes[3], boxes[4], boxes[5] = None, [1, 2, 3], [90, 40, 330, 220]
    (tmp_path / "b.json").write_text(json.dumps({"boxes": boxes}))
    flags = (imported / "generator.onnx", "--video", video)
    run = lab.lipcast(
        "avatar", "import", *flags, "--boxes", tmp_path / "b.json", "-o", tmp_path / "a"
    )
    assert "3 frames stay untouched: 3, 0.10-0.13 s (no box); 4, 0.13-" in run.stderr
    written = json.loads((tmp_path / "a/boxes.json").read_text())["boxes"]
    assert written == [None if i in (3, 4, 5) else list(BOX) for i in range(FRAMES)]
    lab.lipcast("inspect", tmp_path / "a", "--json")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda w: w.pop("output_block.1.weight"), "output_block.1.weight"),
        (lambda w: w.update({"face_encoder_blocks.7.0.conv_block.0.weight": torch.zeros(1)}), "face_encoder_blocks.7"),
        (lambda w: w.update({"face_encoder_blocks.0.0.conv_block.0.weight": torch.zeros(16, 6, 3, 3)}), "[16, 6, 3, 3], want [16, 6, 7, 7]"),
        (lambda w: w["output_block.1.bias"].fill_(float("inf")), "output_block.1.bias"),
    ],
)  # fmt: skip
def test_a_checkpoint_that_does_not_fit_names_its_layers(
    change: Callable[[dict], object], said: str, video: Path, tmp_path: Path
) -> None:
    table = weights()
    change(table)
    torch.save({"state_dict": table}, tmp_path / "bad.pth")
    flags = (tmp_path / "bad.pth", "--video", video, *BOX_FLAG)
    refused(tmp_path / "o/a", flags, "bad.pth", said)


def test_what_is_missing_or_wrong_is_said(
    imported: Path, video: Path, tmp_path: Path
) -> None:
    network = imported / "generator.onnx"
    out = tmp_path / "o/a"
    refused(out, (network,), "--video", code=2)
    refused(out, (network, "--video", video, "--box", "1,2,x"), "X,Y,W,H", code=2)
    refused(out, (network, "--video", video, "--box", "300,0,40,40"), "300,0,340,40")
    refused(out, (network, "--video", tmp_path / "none.mp4", *BOX_FLAG), "no such file")
    half = tmp_path / "half.mp4"
    half.write_bytes(video.read_bytes()[:900])
    refused(out, (network, "--video", half, *BOX_FLAG), "half.mp4")
    (tmp_path / "b.json").write_text(json.dumps([list(BOX)] * 7))
    flags = (network, "--video", video, "--boxes", tmp_path / "b.json")
    refused(out, flags, "b.json", "7 boxes, want 30")
    (tmp_path / "b.json").write_text("[" * 100_000)
    refused(out, flags, "b.json", "nested too deep")
    (tmp_path / "b.json").write_text("[" + f"[0,0,{'9' * 5000},9]," * 29 + "null]")
    refused(out, flags, "not four numbers")
    synctalk = tmp_path / "unet.onnx"
    synctalk.write_bytes(models.generator("random").SerializeToString())
    refused(out, (synctalk, "--video", video, *BOX_FLAG), "unet.onnx", "[N, 1, 80, 16]")
    refused(out, (tmp_path, "--video", video), "--video", code=2)


def test_the_exported_network_is_the_checkpoints(imported: Path) -> None:
    """Fixed names, a free batch, equal to PyTorch."""
    run = session(imported / "generator.onnx")
    assert [value.name for value in run.get_inputs()] == ["mel", "picture"]
    assert [value.name for value in run.get_outputs()] == ["output"]
    network = Wav2Lip()
    network.load_state_dict(weights())
    network.eval()
    for batch in (1, 3):
        mel, picture = (
            network_input("a", (batch, 1, 80, 16)),
            network_input("b", (batch, 6, 96, 96)),
        )
        with torch.no_grad():
            want = network(mel, picture).numpy()
        got = run.run(None, {"mel": mel.numpy(), "picture": picture.numpy()})[0]
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-4)
