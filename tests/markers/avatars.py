"""Marker avatars: numbered, flat-coloured frames in the avatar package's format."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import onnx

from markers import models

Bgr = npt.NDArray[np.uint8]
Box = tuple[int, int, int, int]

SKIN = (120, 150, 200)  # B, G, R
RED = (0, 0, 255)
BLUE = (255, 0, 0)
MOUTH = (30, 20, 60)
FAMILIES = {
    "ave": "synctalk",
    "mel": "wav2lip",
    "hubert": "ultralight",
    "wenet": "ultralight",
}
BARCODE_COLUMNS, BARCODE_ROWS = 8, 2
BARCODE_BITS = 12


def barcode_cell_px(width: int) -> int:
    """Side of one cell; 0 where a picture is too small for a bar code."""
    return min(8, width // BARCODE_COLUMNS)


def _cells(number: int) -> list[int]:
    """White, black, then 12 bits high first, then 2 bits: the number of ones modulo 4."""
    bits = [(number >> i) & 1 for i in reversed(range(BARCODE_BITS))]
    check = sum(bits) % 4
    return [1, 0, *bits, check >> 1, check & 1]


def draw_barcode(frame: Bgr, number: int) -> None:
    """Writes the number into the top left corner of [H, W, 3], in place."""
    side = barcode_cell_px(frame.shape[1])
    for i, bit in enumerate(_cells(number)):
        row, column = divmod(i, BARCODE_COLUMNS)
        frame[row * side : (row + 1) * side, column * side : (column + 1) * side] = (
            255 * bit
        )


def read_barcode(frame: Bgr) -> int:
    """The number in the corner of [H, W, 3] (or of a luma plane [H, W]).

    ValueError where there is no whole bar code.
    """
    side = barcode_cell_px(frame.shape[1])
    edge = side // 4
    cells = []
    for i in range(BARCODE_COLUMNS * BARCODE_ROWS):
        row, column = divmod(i, BARCODE_COLUMNS)
        cell = frame[
            row * side + edge : (row + 1) * side - edge,
            column * side + edge : (column + 1) * side - edge,
        ]
        cells.append(int(cell.mean() > 128))
    number = int("".join(map(str, cells[2 : 2 + BARCODE_BITS])), 2)
    if cells != _cells(number):
        raise ValueError(f"no bar code: cells {cells}")
    return number


def draw_frame(
    number: int,
    size: tuple[int, int],
    colour: tuple[int, int, int] = SKIN,
    box: Box | None = None,
    textured: bool = False,
) -> Bgr:
    """[H, W, 3]: flat or textured colour, bar code, dark mouth ellipse in the box."""
    width, height = size
    frame = np.full((height, width, 3), colour, np.uint8)
    if textured:
        rng = np.random.default_rng(1000 + number)
        small = rng.integers(-40, 41, (max(height // 12, 2), max(width // 12, 2), 3))
        wave = cv2.resize(
            small.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC
        )
        frame = np.clip(frame + wave, 0, 255).astype(np.uint8)
    if box is not None:
        x0, y0, x1, y1 = box
        centre = ((x0 + x1) // 2, y0 + (y1 - y0) * 6 // 10)
        axes = (max(1, (x1 - x0) // 6), max(1, (y1 - y0) // 12))
        cv2.ellipse(frame, centre, axes, 0, 0, 360, MOUTH, -1)
    if barcode_cell_px(width) >= 4 and height >= 2 * barcode_cell_px(width):
        draw_barcode(frame, number)
    return frame


def default_box(size: tuple[int, int]) -> Box | None:
    """A square below the bar code; 168 px where it fits, so that a 160 px model needs no resize."""
    width, height = size
    top = 2 * barcode_cell_px(width) + 2
    side = min(168, width - 4, height - top - 2)
    if side < 16:
        return None
    x0 = (width - side) // 2
    return (x0, top, x0 + side, top + side)


def write_video(
    path: Path,
    frames: Sequence[Bgr],
    fps: tuple[int, int],
    *,
    lossless: bool = False,
    extra: Sequence[str] = (),
) -> None:
    """H.264, BT.709 limited, 4:2:0. Sides must be even."""
    height, width = frames[0].shape[:2]
    quality = ["-qp", "0"] if lossless else ["-crf", "12"]
    command = [
        *("ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "bgr24"),
        *("-s", f"{width}x{height}", "-r", f"{fps[0]}/{fps[1]}", "-i", "-"),
        *("-vf", "scale=out_color_matrix=bt709:out_range=tv,format=yuv420p"),
        *("-c:v", "libx264", "-preset", "veryfast", *quality, "-g", "25"),
        *("-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709"),
        *("-color_range", "tv", "-movflags", "+faststart", *extra, str(path)),
    ]
    data = b"".join(frame.tobytes() for frame in frames)
    subprocess.run(command, input=data, check=True)


def make_avatar(
    folder: Path,
    *,
    frames: int = 50,
    size: tuple[int, int] = (320, 240),
    fps: tuple[int, int] = (25, 1),
    model: str | onnx.ModelProto = "M1",
    encoder: str | onnx.ModelProto = "mean",
    batch: int | None = None,
    inner: int = 160,
    border: int = 4,
    mask: tuple[int, int, int, int] | None = None,
    feather: int = 0,
    colour: tuple[int, int, int] = SKIN,
    textured: bool = False,
    boxes: Sequence[Box | None] | None = None,
    no_face: Sequence[int] = (),
    order: str = "loop",
    images: str = "png",
    name: str = "marker",
    audio_fps: tuple[int, int] = (25, 1),
    audio: str = "ave",
    sound: tuple[int, int, int] | None = None,
    paint: Callable[[int, Bgr], None] | None = None,
    edit: Callable[[dict], None] | None = None,
) -> Path:
    """Writes an avatar package into `folder` and returns it.

    model, encoder: a marker's name (see markers.models) or a model. batch: None = dynamic.
    mask: (x, y, width, height) in the inner square. boxes: one per frame; default: one square,
    None for the frames of no_face. images: "png", "jpg" or "video". paint: draws on each frame.
    audio: what the model hears, which decides its family; "mel" has no encoder. sound: a frame's.
    edit: changes the manifest before it is written, for broken twins.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if audio == "mel":
        mask = mask or (0, inner // 2, inner, inner - inner // 2)
    mask = mask or models.scaled_mask(inner)
    if isinstance(model, str):
        sound = sound or models.SOUNDS[audio]
        model = models.generator(
            model, inner_px=inner, batch=batch, mask=mask, sound=sound
        )
    if audio in models.SAMPLE_WINDOWS:
        encoder = models.sample_encoder(audio, batch=batch)
        audio_fps = (20, 1) if audio == "wenet" else audio_fps
    elif isinstance(encoder, str):
        encoder = models.encoder(encoder, batch=batch)
    if boxes is None:
        boxes = [
            None if i in set(no_face) else default_box(size) for i in range(frames)
        ]

    pictures = []
    for i in range(frames):
        picture = draw_frame(i, size, colour, boxes[i], textured)
        if paint is not None:
            paint(i, picture)
        pictures.append(picture)
    if images == "video":
        write_video(folder / "frames.mp4", pictures, fps)
        source = {"kind": "video", "path": "frames.mp4"}
    else:
        (folder / "frames").mkdir(exist_ok=True)
        for i, picture in enumerate(pictures):
            cv2.imwrite(str(folder / "frames" / f"{i:06d}.{images}"), picture)
        source = {"kind": "images", "path": f"frames/%06d.{images}", "first": 0}

    (folder / "generator.onnx").write_bytes(model.SerializeToString())
    heard = {"kind": audio, "fps": dict(zip(("num", "den"), audio_fps, strict=True))}
    if audio != "mel":
        (folder / "audio_encoder.onnx").write_bytes(encoder.SerializeToString())
        heard |= {"model": "audio_encoder.onnx", "padding": "zero"}
    table = {
        "schema_version": 1,
        "boxes": [list(box) if box else None for box in boxes],
    }
    (folder / "boxes.json").write_text(json.dumps(table))
    manifest = {
        "format": "lipcast-avatar",
        "schema_version": 1,
        "name": name,
        "title": f"Marker avatar {name}",
        "fps": {"num": fps[0], "den": fps[1]},
        "frame_count": frames,
        "width": size[0],
        "height": size[1],
        "order": order,
        "color": {"matrix": "bt709", "range": "limited"},
        "frames": source,
        "boxes": "boxes.json",
        "idle": {"first": 0, "count": frames},
        "generator": {
            "family": FAMILIES[audio],
            "model": "generator.onnx",
            "inner_px": inner,
            "border_px": border,
            "mask": dict(zip(("x", "y", "width", "height"), mask, strict=True)),
            "feather_px": feather,
        },
        "audio": heard,
        "files": {},
        "provenance": "drawn by tests/markers",
        "licence": "CC0-1.0",
    }
    write_manifest(folder, manifest, edit)
    return folder


def write_manifest(
    folder: Path, manifest: dict, edit: Callable[[dict], None] | None = None
) -> None:
    """Fills in the hashes of the files there are and writes avatar.json."""
    files = {}
    for name in (
        "generator.onnx",
        "audio_encoder.onnx",
        "boxes.json",
        "frames.mp4",
    ):
        path = folder / name
        if path.is_file():
            data = path.read_bytes()
            files[name] = {
                "sha256": hashlib.sha256(data).hexdigest(),
                "bytes": len(data),
            }
    manifest["files"] = files
    if edit is not None:
        edit(manifest)
    (folder / "avatar.json").write_text(json.dumps(manifest, indent=1))


def reseal(folder: Path, edit: Callable[[dict], None] | None = None) -> None:
    """Rewrites avatar.json after a file was changed, so that only the change itself is wrong."""
    write_manifest(folder, json.loads((folder / "avatar.json").read_text()), edit)
