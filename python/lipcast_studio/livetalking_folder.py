"""A LiveTalking avatar folder: full_imgs/, face_imgs/, coords.pkl -> frames and boxes, for whichever model draws them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from .errors import StudioError
from .face_boxes import Boxes, box_fault, check_boxes
from .package_files import Box
from .pickled_boxes import read_pickled_numbers, shown
from .synctalk_folder import Pictures, read_numbered

IMAGES, COORDS = "full_imgs", "coords.pkl"
_LOOKED_AT = 5


def is_livetalking(folder: Path) -> bool:
    """full_imgs/ and coords.pkl are there."""
    return (folder / IMAGES).is_dir() and (folder / COORDS).is_file()


def _order(folder: Path, pictures: Pictures, rows: list[tuple[int, ...]]) -> bool:
    """Whether rows are (y0, y1, x0, x1), as of Wav2Lip, and not (x0, y0, x1, y1): face_imgs/ holds the cut-out faces."""
    faces = {int(p.stem): p for p in (folder / "face_imgs").glob("*") if p.stem.isdecimal()}
    error = [0.0, 0.0]
    seen = 0
    for i in range(0, len(rows), max(1, len(rows) // _LOOKED_AT)):
        face = cv2.imread(str(faces[pictures.first + i])) if pictures.first + i in faces else None
        frame = cv2.imread(str(pictures.paths[i]))
        if face is None or frame is None:
            continue
        seen += 1
        for k, box in enumerate(_both(rows[i])):
            if box_fault(box, pictures.width, pictures.height):
                error[k] += 255.0
                continue
            x0, y0, x1, y1 = box
            cut = cv2.resize(frame[y0:y1, x0:x1], (face.shape[1], face.shape[0]))
            error[k] += float(np.abs(cut.astype(np.int16) - face).mean())
    if not seen:
        raise StudioError(f"{folder}: face_imgs/ holds no face that can be read: it tells the order of {COORDS}")
    best = min(error) / seen
    if best > 20 or error[0] == error[1]:
        raise StudioError(f"{folder}: {COORDS} fits face_imgs/ in no known order: the faces differ by {best:.0f} levels")
    return error[0] < error[1]


def _both(row: tuple[int, ...]) -> tuple[Box, Box]:
    a, b, c, d = row
    return (c, a, d, b), (a, b, c, d)


def read_livetalking(folder: Path) -> tuple[Pictures, Boxes]:
    """StudioError where pictures, coordinates and faces do not belong together."""
    if (folder / "latents.pt").exists():
        raise StudioError(
            f"{folder}: latents.pt: an avatar of MuseTalk, whose network is not supported; the video that it was made of works"
            " with a Wav2Lip network (lipcast avatar import wav2lip.pth --video VIDEO -o DIR) or lipcast avatar create"
        )
    pictures = read_numbered(folder / IMAGES)
    path = folder / COORDS
    found = read_pickled_numbers(path)
    if not isinstance(found, list) or len(found) != len(pictures.paths):
        count = len(found) if isinstance(found, list) else 0
        raise StudioError(f"{path}: {count} boxes, want {len(pictures.paths)} as {IMAGES}/ has pictures")
    for i, row in enumerate(found):
        if not isinstance(row, tuple | list) or len(row) != 4:
            raise StudioError(f"{path}: box {i} is {shown(row)}: want four whole numbers")
        if any(type(value) is not int for value in row):
            raise StudioError(f"{path}: box {i} holds {', '.join(map(shown, row))}: want four whole numbers")
    rows = [tuple(row) for row in found]
    first = _order(folder, pictures, rows)
    found = [_both(row)[0 if first else 1] for row in rows]
    source = f"{COORDS}, {'y0 y1 x0 x1' if first else 'x0 y0 x1 y1'}"
    return pictures, check_boxes(found, pictures.width, pictures.height, source, folder)
