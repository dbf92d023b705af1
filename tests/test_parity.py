"""The engine against the NumPy, OpenCV and ONNX Runtime reference in python/parity."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import lab
import numpy as np
import pytest
from markers import avatars
from parity import pipeline, windows

DEMO = lab.ROOT / "avatars/demo"
DEMO_FRAMES = 50


@pytest.fixture(scope="module")
def network(avatar: Callable[..., Path]) -> Path:
    """A random network on a box that is resized both ways, and differs from frame to frame."""
    boxes = [
        (20 + i % 5, 30 + i % 3, 20 + i % 5 + 131, 30 + i % 3 + 131) for i in range(20)
    ]
    return avatar(
        "parity",
        model="random",
        encoder="random",
        size=(240, 200),
        frames=20,
        textured=True,
        boxes=boxes,
        order="bounce",
    )


@pytest.fixture(scope="module")
def demo_png(session_dir: Path) -> Path:
    """The demo avatar with its first frames as pictures, so that no video decoder takes part."""
    manifest = json.loads((DEMO / "avatar.json").read_text())
    folder = session_dir / "demo_png"
    (folder / "frames").mkdir(parents=True)
    assert manifest["frames"]["kind"] == "video"
    frames = ("-frames:v", DEMO_FRAMES, "-start_number", 0, folder / "frames/%06d.png")
    lab.ffmpeg("-i", DEMO / manifest["frames"]["path"], *frames)
    for key in ("generator", "audio"):
        name = manifest[key]["model"]
        (folder / Path(name).name).write_bytes((DEMO / name).read_bytes())
        manifest[key]["model"] = Path(name).name
    assert {manifest["generator"]["model"], manifest["audio"]["model"]} == {
        "generator.onnx",
        "audio_encoder.onnx",
    }
    boxes = json.loads((DEMO / manifest["boxes"]).read_text())
    boxes["boxes"] = boxes["boxes"][:DEMO_FRAMES]
    (folder / "boxes.json").write_text(json.dumps(boxes))
    manifest.update(
        name="demo_png",
        frame_count=DEMO_FRAMES,
        frames={"kind": "images", "path": "frames/%06d.png", "first": 0},
        boxes="boxes.json",
        idle={"first": 0, "count": DEMO_FRAMES},
    )
    avatars.write_manifest(folder, manifest)
    return folder


def dump(avatar: Path, wav: Path, folder: Path, edges: str) -> dict[str, np.ndarray]:
    """mel, windows and features as the engine saw them, and its pictures in folder/frames."""
    samples = lab.read_manifest(avatar)["audio"]["kind"] in ("hubert", "wenet")
    names = ("windows", "features") if samples else ("mel", "windows", "features")
    targets = ",".join(f"{name}={folder / name}.npy" for name in names)
    flags = ("--idle", "model", "--edges", edges, "--dump", targets)
    lab.render(avatar, wav, folder / "frames/%06d.png", *flags)
    return {name: np.load(folder / f"{name}.npy") for name in names}


def compare_mel(got: dict[str, np.ndarray], want: pipeline.Audio, edges: str) -> None:
    """The spectrogram, and that each window is its frames."""
    count = min(len(got["mel"]), len(want.mel))
    # In silence mode the engine may feed a little more or less silence behind the last frame.
    assert (
        len(got["mel"]) == len(want.mel)
        if edges == "reference"
        else count >= len(want.mel) - 4
    )
    assert np.abs(got["mel"][:count] - want.mel[:count]).max() <= 1e-4
    for i in range(len(want.windows)):
        start = windows.first_mel_frame(i)
        if edges == "reference":
            start = min(start, len(got["mel"]) - windows.WINDOW_MEL_FRAMES)
        piece = got["mel"][start : start + windows.WINDOW_MEL_FRAMES]
        if len(piece) == windows.WINDOW_MEL_FRAMES:
            assert (got["windows"][i] == piece.T).all(), (
                f"window {i} is not mel frames {start}.."
            )


def compare(
    avatar_dir: Path, wav: Path, folder: Path, edges: str, levels: int = 2
) -> float:
    """The gates of the project's promise, table by table, then picture by picture.

    levels: how far a byte inside a box may be off. Returns the share of them off by more than 1.
    """
    got = dump(avatar_dir, wav, folder, edges)
    avatar = pipeline.open_avatar(avatar_dir)
    want = pipeline.hear(avatar, wav, edges)

    assert got["windows"].shape == want.windows.shape
    assert np.abs(got["windows"] - want.windows).max() <= 1e-4
    if "mel" in got:
        compare_mel(got, want, edges)
    assert got["features"].shape == want.features.shape
    assert np.abs(got["features"] - want.features).max() <= 2e-3
    if avatar.encoder is None:
        assert (got["features"] == got["windows"].reshape(len(want.windows), -1)).all()

    pictures = sorted((folder / "frames").glob("*.png"))
    assert len(pictures) == want.frames
    beyond_one = in_boxes = 0
    for i, (path, reference) in enumerate(
        zip(pictures, pipeline.draw(avatar, want), strict=True)
    ):
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
        step = i * avatar.fps[0] // (avatar.hearing.fps * avatar.fps[1])
        index = pipeline.background_index(step, avatar.frame_count, avatar.order)
        box = avatar.boxes[index]
        assert box is not None
        x0, y0, x1, y1 = box
        inside = np.abs(picture[y0:y1, x0:x1].astype(int) - reference[y0:y1, x0:x1])
        assert inside.max() <= levels, f"frame {i}: {inside.max()} levels"
        beyond_one += int((inside > 1).sum())
        in_boxes += inside.size
        picture[y0:y1, x0:x1] = reference[y0:y1, x0:x1]
        assert (picture == avatar.frame(index))[:y0].all(), f"frame {i} outside the box"
        assert (picture == reference).all(), f"frame {i} outside the box"
    return beyond_one / in_boxes


@pytest.mark.parametrize("edges", ["reference", "silence"])
def test_a_random_network_is_drawn_as_the_reference_draws_it(
    edges: str, network: Path, speech_wav: Path, tmp_path: Path
) -> None:
    """mel 1e-4, windows in place, pictures within 2 levels and identical outside the box."""
    compare(network, speech_wav, tmp_path, edges)


@pytest.mark.parametrize("edges", ["reference", "silence"])
@pytest.mark.parametrize("inner", [96, 288])
def test_wav2lip_is_drawn_as_its_reference_draws_it(
    inner: int,
    edges: str,
    avatar: Callable[..., Path],
    sentence: lab.Samples,
    tmp_path: Path,
) -> None:
    """Reflected mel, one window a frame, masked copy first, linear resize, its script's count."""
    boxes = [(20 + i % 5, 30 + i % 3, 141 + i % 4, 179 + i % 3) for i in range(20)]
    face = avatar(
        f"wav2lip{inner}",
        audio="mel",
        model="random",
        size=(240, 200),
        inner=inner,
        border=0,
        frames=20,
        textured=True,
        boxes=boxes,
    )
    wav = lab.write_wav(tmp_path / "a.wav", sentence[: 5 * 3200 + 701])
    compare(face, wav, tmp_path, edges)


@pytest.mark.parametrize("edges", ["reference", "silence"])
@pytest.mark.parametrize(
    ("kind", "sound"),
    [
        ("hubert", (32, 32, 32)),
        ("hubert", (16, 32, 32)),
        ("wenet", (128, 16, 32)),
    ],
)
def test_ultralight_is_drawn_as_its_reference_draws_it(
    kind: str,
    sound: tuple[int, int, int],
    edges: str,
    avatar: Callable[..., Path],
    sentence: lab.Samples,
    tmp_path: Path,
) -> None:
    """Windows of samples, rows around the frame with zeros outside, 20 frames a second of WeNet's."""
    boxes = [(20 + i % 5, 30 + i % 3, 141 + i % 4, 151 + i % 3) for i in range(20)]
    face = avatar(
        f"ultralight_{kind}{sound[0]}",
        audio=kind,
        sound=sound,
        model="random",
        size=(240, 200),
        fps=(20 if kind == "wenet" else 25, 1),
        inner=64,
        frames=20,
        textured=True,
        boxes=boxes,
        order="bounce",
    )
    wav = lab.write_wav(tmp_path / "a.wav", sentence[4000 : 4000 + 20701])
    compare(face, wav, tmp_path, edges)


def test_the_demo_avatar_is_drawn_as_the_reference_draws_it(
    demo_png: Path, speech_wav: Path, tmp_path: Path
) -> None:
    """The shipped models, 1280x720 pictures, the first 3 s of the sentence.

    A trained network amplifies: one level of noise in 5 in 100 bytes of its picture moves its output
    by up to 3 levels, and the two cubic kernels are one level apart. Hence 3 here, almost nowhere.
    """
    wav = tmp_path / "short.wav"
    lab.ffmpeg("-i", speech_wav, "-t", 3, "-c:a", "pcm_s16le", wav)
    assert compare(demo_png, wav, tmp_path, "reference", levels=3) < 0.005


def test_without_a_resize_the_demo_avatar_is_the_references_to_one_level(
    demo_png: Path, speech_wav: Path, tmp_path: Path
) -> None:
    """Boxes of the network's own size: what is left is float rounding before truncation."""
    face = tmp_path / "face"
    shutil.copytree(demo_png, face)
    generator = lab.read_manifest(face)["generator"]
    side = generator["inner_px"] + 2 * generator["border_px"]
    path = face / "boxes.json"
    boxes = json.loads(path.read_text())
    boxes["boxes"] = [[x, y, x + side, y + side] for x, y, _, _ in boxes["boxes"]]
    path.write_text(json.dumps(boxes))
    avatars.reseal(face)
    wav = tmp_path / "short.wav"
    lab.ffmpeg("-i", speech_wav, "-t", 1, "-c:a", "pcm_s16le", wav)
    assert compare(face, wav, tmp_path, "reference", levels=1) == 0


@pytest.mark.parametrize("samples", [3000, 3200, 3399, 16000, 16200])
def test_reference_edges_make_the_references_count(
    samples: int, network: Path, tmp_path: Path
) -> None:
    """T = 81: 22 windows; at least 16 mel frames are needed and less is refused, not zeros."""
    wav = lab.write_wav(tmp_path / "a.wav", lab.speech_like(2)[:samples])
    got = dump(network, wav, tmp_path, "reference")
    assert len(got["mel"]) == 1 + samples // 200
    want = windows.reference_count(1 + samples // 200)
    assert len(got["windows"]) == want
    assert len(list((tmp_path / "frames").glob("*.png"))) == want


def test_reference_edges_refuse_less_than_one_window(
    network: Path, tmp_path: Path
) -> None:
    """Short audio is not a success with zeros."""
    wav = lab.write_wav(tmp_path / "a.wav", lab.speech_like(1)[:2999])
    flags = ("--idle", "model", "--edges", "reference", lab.PIXELS, "bgr")
    lab.refused(lab.render(network, wav, "-", *flags, ok=False), "reference", "3000|16")
