"""What lies in a SyncTalk_2D folder: numbered pictures, landmarks or boxes."""

from __future__ import annotations

import hashlib
import math
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any

import cv2

from .errors import StudioError
from .face_boxes import Boxes, check_boxes
from .package_files import Box, read_json

_IMAGES = "full_body_img"
_BOXES = ("cache/crop_rectangles.json", "crop_rectangles.json", "cache/crop_rects.json", "crop_rects.json")
_INFO, _HASHES = "package_info.json", "onnx_dist_config.json"
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


def _rate(value: Any) -> Fraction | None:
    """None where that is no rate an avatar can have."""
    return Fraction(value).limit_denominator(1001) if type(value) in (int, float) and 1 <= value <= 120 else None


def read_rate(folder: Path, say: Callable[[str], None]) -> Fraction | None:
    """Frames a second of an ONNX package, for the whole or in each of `videos`; None, which it says, where that is no rate."""
    if not (folder / _INFO).is_file():
        return None
    info = read_json(folder / _INFO)
    info = info if isinstance(info, dict) else {}
    videos = info.get("videos")
    parts = [info, *(videos.values() if isinstance(videos, dict) else [])]
    found = [part["fps"] for part in parts if isinstance(part, dict) and part.get("fps") is not None]
    rates = {_rate(value) for value in found}
    if len(rates) == 1 and None not in rates:
        return rates.pop()
    if found:
        say(f"{_INFO}: fps {', '.join(str(value)[:20] for value in found[:4])}: want one rate of 1 to 120; it is left aside")
    return None


def _hashes(node: Any, name: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """(file, sha256) of {FILE: SHA256}, {FILE: {"sha256": ..}}, {"path": FILE, "sha256": ..}, and of such inside others."""
    if isinstance(node, str) and re.fullmatch("[0-9a-fA-F]{64}", node):
        yield PurePosixPath(name).name, node.lower()
    elif isinstance(node, list) and depth < 8:
        for item in node:
            yield from _hashes(item, name, depth + 1)
    elif isinstance(node, dict) and depth < 8:
        named = next((node[key] for key in ("path", "file", "filename", "name") if isinstance(node.get(key), str)), name)
        for key, value in node.items():
            yield from _hashes(value, named if key == "sha256" else key, depth + 1)


def check_hashes(folder: Path, models: Sequence[Path], say: Callable[[str], None]) -> None:
    """Models of an ONNX package are those that its onnx_dist_config.json lists, where it does. StudioError names another."""
    if not (folder / _HASHES).is_file():
        return
    listed = list(_hashes(read_json(folder / _HASHES)))
    checked = []
    for model in (model for model in models if model.is_file() and model.absolute().is_relative_to(folder.absolute())):
        wanted = {sha256 for name, sha256 in listed if name in (model.name, model.stem)}
        if not wanted:
            continue
        with model.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found not in wanted:
            raise StudioError(f"{model}: sha256 = {found}: want {', '.join(sorted(wanted))} as in {_HASHES}")
        checked.append(model.name)
    if checked:
        say(f"{_HASHES}: the sha256 of {', '.join(checked)} as listed")


def _table(path: Path, count: int) -> list[Any]:
    """Boxes of crop_rectangles.json (keyed "0"..) or crop_rects.json (a list)."""
    found = read_json(path)
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
