"""What lies in a SyncTalk_2D folder: numbered pictures, landmarks or boxes."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

from .errors import StudioError
from .face_boxes import Boxes, check_boxes
from .package_files import Box

_IMAGES = "full_body_img"
_BOXES = ("cache/crop_rectangles.json", "crop_rectangles.json", "cache/crop_rects.json", "crop_rects.json")
_LEFT, _TOP, _RIGHT = 1, 52, 31  # the landmarks that span the box


@dataclass(frozen=True)
class Pictures:
    """The frames in order, all `width` x `height`; `first` is the number in the first one's name."""

    paths: list[Path]
    first: int
    width: int
    height: int


def _numbered(folder: Path, endings: tuple[str, ...]) -> dict[int, Path]:
    paths = (p for p in folder.iterdir() if p.suffix.lower() in endings and p.stem.isdecimal())
    return {int(p.stem): p for p in paths}


def copy_pictures(pictures: Pictures, package: Path) -> dict[str, Any]:
    """Copies them byte for byte into frames/ of a package; what its manifest says of them."""
    (package / "frames").mkdir()
    for path in pictures.paths:
        shutil.copyfile(path, package / "frames" / f"{int(path.stem)}{path.suffix.lower()}")
    ending = pictures.paths[0].suffix.lower()
    return {"kind": "images", "path": f"frames/%d{ending}", "first": pictures.first}


def read_pictures(folder: Path) -> Pictures:
    """The pictures of full_body_img/."""
    images = folder / _IMAGES
    if not images.is_dir():
        raise StudioError(f"{folder}: no {_IMAGES}/ in it; want a SyncTalk_2D folder")
    return read_numbered(images)


def read_numbered(images: Path) -> Pictures:
    """N.jpg (or .png) without a gap, from 0 or 1, of one size."""
    found = _numbered(images, (".jpg", ".jpeg", ".png"))
    if not found:
        raise StudioError(f"{images}: no pictures 1.jpg, 2.jpg, ..")
    first = min(found)
    paths = []
    for number in range(first, max(found) + 1):
        if number not in found:
            raise StudioError(f"{images}: picture {number} is missing between {first} and {max(found)}")
        paths.append(found[number])
    if first > 1 or len({p.suffix for p in paths}) > 1:
        raise StudioError(f"{images}: begins at {paths[0].name}, want 0 or 1 and one ending for all")
    size: tuple[int, int] | None = None
    for path in paths:
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if picture is None:
            raise StudioError(f"{path}: not a whole picture")
        here = (picture.shape[1], picture.shape[0])
        size = size or here
        if here != size:
            raise StudioError(f"{path}: {here[0]}x{here[1]}, want {size[0]}x{size[1]} as {paths[0].name}")
    assert size is not None
    return Pictures(paths, first, *size)


def _landmark_box(path: Path) -> Box | str:
    """The box of one .lms file, or why there is none."""
    if not path.is_file():
        return "no landmarks"
    points = []
    try:
        for line in path.read_text("ascii").splitlines():
            if line.strip():
                x, y = map(float, line.split()[:2])
                if not (math.isfinite(x) and math.isfinite(y)):
                    return "a landmark is not a number"
                points.append((int(x), int(y)))
    except ValueError:
        return "the landmarks cannot be read"
    if len(points) <= _TOP:
        return f"{len(points)} landmarks, want at least {_TOP + 1}"
    x0, x1, y0 = points[_LEFT][0], points[_RIGHT][0], points[_TOP][1]
    return (x0, y0, x1, y0 + x1 - x0)


def _table(path: Path, count: int) -> list[Any]:
    """Boxes of crop_rectangles.json (keyed "0"..) or crop_rects.json (a list)."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (ValueError, UnicodeDecodeError):
        raise StudioError(f"{path}: not JSON") from None
    if isinstance(found, dict):
        found = [found.get(str(i)) for i in range(count)]
    if not isinstance(found, list) or len(found) < count:
        raise StudioError(f"{path}: {len(found) if isinstance(found, list) else 0} boxes, want {count}")
    return [entry.get("rect") if isinstance(entry, dict) else entry for entry in found[:count]]


def read_boxes(folder: Path, pictures: Pictures) -> Boxes:
    """From landmarks/, else from the boxes that an ONNX package stores.

    Landmarks count from 0 whatever the pictures count from; where both count from 1 they go together by number.
    """
    count = len(pictures.paths)
    landmarks = folder / "landmarks"
    found: list[Any]
    if landmarks.is_dir():
        numbers = _numbered(landmarks, (".lms",))
        if not numbers:
            raise StudioError(f"{landmarks}: no 0.lms, 1.lms, ..")
        base = 1 if 0 not in numbers and max(numbers) == count and pictures.first == 1 else 0
        found = [_landmark_box(landmarks / f"{i + base}.lms") for i in range(count)]
        source = f"landmarks/ from {base}.lms"
    else:
        tables = [folder / name for name in _BOXES if (folder / name).is_file()]
        if not tables:
            raise StudioError(f"{folder}: neither landmarks/ nor cache/crop_rectangles.json")
        found = _table(tables[0], count)
        source = str(tables[0].relative_to(folder))
    return check_boxes(found, pictures.width, pictures.height, source, folder)
