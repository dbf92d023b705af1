"""Everything into one avatar folder: frames.mp4, boxes.json, models, speech, truth clips, card, licences, avatar.json."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
from scipy.io import wavfile

from ..package_files import ave_audio, file_entries, synctalk_generator, write_boxes, write_manifest
from ..training.image_stage import SIZES
from ..training.loop import finished_weights
from ..training.mel import windows
from ..training.nets import AudioEncoder, Generator
from ..training.networks import audio_networks, image_network
from ..training.picture import inner_picture, network_input
from ..video.ffmpeg import FrameWriter, read_frames
from . import align, truth
from .export import export_models
from .render import HEIGHT_PX, LOOP_FRAMES, WIDTH_PX, Renderer, crop_box, idle_pose
from .speech import load

_DEMO_SENTENCE = "sense_and_sensibility_01_austen_64kb-0870"


# Drawn pictures in as few bytes as x264 can, the same bytes each time.
_STILL = ("-preset", "slow", "-tune", "animation", "-threads", "1", "-fflags", "+bitexact", "-flags:v", "+bitexact")


def write_frames(folder: Path, renderer: Renderer) -> None:
    """The idle loop as H.264, BT.709 limited range, a key frame a second; and the crop box of each frame."""
    with FrameWriter(folder / "frames.mp4", WIDTH_PX, HEIGHT_PX, crf=19, options=_STILL) as writer:
        for i in range(LOOP_FRAMES):
            writer.write(renderer.frame(idle_pose(i)))
    write_boxes(folder, [crop_box(idle_pose(i)) for i in range(LOOP_FRAMES)])


def load_models(work: Path) -> tuple[AudioEncoder, Generator]:
    """The trained networks in work/, ready for use."""
    audio, drawing = (finished_weights(work / name) for name in ("audio.pt", "image.pt"))
    if audio is None or drawing is None:
        raise SystemExit(f"{work}: audio.pt and image.pt must both be trained to their end")
    encoder, branch = audio_networks(audio)
    return encoder, Generator(branch, image_network(drawing, SIZES["s"])).eval()


def write_models(work: Path, folder: Path) -> None:
    encoder, generator = load_models(work)
    mel = windows(load(work / "speech" / "flite-slt.npz")[0].wave)[[20, 40, 60]]
    boxes = json.loads((folder / "boxes.json").read_text())["boxes"]
    frames = list(read_frames(folder / "frames.mp4", WIDTH_PX, HEIGHT_PX))
    pictures = np.stack([network_input(inner_picture(frames[i], boxes[i])) for i in (0, 125)])
    export_models(encoder, generator, mel, pictures, folder)


def _manifest(folder: Path) -> None:
    names = ("frames.mp4", "boxes.json", "generator.onnx", "audio_encoder.onnx")
    rate = {"num": 25, "den": 1}
    manifest = {
        "format": "lipcast-avatar",
        "schema_version": 1,
        "name": "demo",
        "title": "Lea, the lipcast demo avatar",
        "fps": rate,
        "frame_count": LOOP_FRAMES,
        "width": WIDTH_PX,
        "height": HEIGHT_PX,
        "order": "loop",
        "color": {"matrix": "bt709", "range": "limited"},
        "frames": {"kind": "video", "path": "frames.mp4"},
        "boxes": "boxes.json",
        "idle": {"first": 0, "count": LOOP_FRAMES},
        "generator": synctalk_generator(160),
        "audio": ave_audio(),
        "files": file_entries(folder, names),
        "provenance": "painted and trained by python/lipcast_studio/demo of this project; no real person is shown",
        "licence": "CC0-1.0",
    }
    write_manifest(folder, manifest)


def write_package(work: Path, folder: Path, renderer: Renderer, log=print) -> None:
    """All files except the hand-written MODEL_CARD.md and LICENCES.md, which are checked to exist by the tests."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (work / "frames.done").exists() or not (folder / "frames.mp4").exists():
        write_frames(folder, renderer)
        (work / "frames.done").touch()
        log("package: frames.mp4, boxes.json")
    write_models(work, folder)
    rate, wave = wavfile.read(align.test_data() / "librivox" / f"{_DEMO_SENTENCE}.wav")
    wavfile.write(folder / "speech.wav", rate, wave)
    if not (folder / "truth" / "librivox-0870.json").exists():
        truth.write(folder / "truth", renderer, truth.truth_clips(work))
        log("package: truth clips")
    cv2.imwrite(str(folder / "preview.jpg"), renderer.frame(idle_pose(0)), [cv2.IMWRITE_JPEG_QUALITY, 85])
    _manifest(folder)
    total = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
    log(f"package: {total / 1e6:.2f} MB in {folder}")
