"""The pictures of a report: openings over time, mouths, seams. Drawn with OpenCV, at twice the size they are shown."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from ..demo.measure import Track
from ..engine import Bgr
from .speak import Spoken

WIDTH_PX = 1840
INK, MUTED, PALE, LINE, RULE = (38, 32, 28), (128, 120, 112), (226, 220, 212), (142, 92, 14), (236, 232, 228)  # B, G, R
_MOST_LABELS = 20
Colour = tuple[int, int, int]


def paper(height: int, width: int = WIDTH_PX) -> Bgr:
    """A white picture."""
    return np.full((height, width, 3), 255, np.uint8)


def _fitted(words: str, size: float, most_px: int) -> tuple[str, float]:
    """The words and their size so that they take at most so many pixels: smaller at first, then cut."""

    def width(words: str, size: float) -> int:
        return int(cv2.getTextSize(words, cv2.FONT_HERSHEY_DUPLEX, size, 2)[0][0])

    least = 0.75 * size
    if width(words, size) > most_px:
        size = max(least, size * most_px / width(words, size) - 0.005)
    if width(words, size) > most_px:
        kept = next((n for n in range(len(words), 0, -1) if width(words[:n] + "..", size) <= most_px), 0)
        words = words[:kept] + ".."
    return words, size


def text(
    picture: Bgr,
    words: str,
    at: tuple[int, int],
    size: float = 0.8,
    colour: Colour = INK,
    bold: bool = False,
    most_px: int | None = None,
) -> None:
    """ASCII words with their left lower corner at (x, y); they end in the picture, or after most_px."""
    plain, size = _fitted(words.encode("ascii", "replace").decode(), size, most_px or picture.shape[1] - at[0])
    cv2.putText(picture, plain, at, cv2.FONT_HERSHEY_DUPLEX, size, colour, 2 if bold else 1, cv2.LINE_AA)


def _scaled(track: Track, low: float) -> Track:
    top = float(np.percentile(track, 99)) - low if len(track) else 0.0
    return np.clip((track - low) / top, 0, 1.08) if top > 0 else np.zeros(len(track))


def plot(one: Spoken, fps: float) -> Bgr:
    """Opening (line) over what it must follow (area), each by its own largest value, with seconds below."""
    truth = one.clip.area_px is not None
    height, left, right, top, bottom = 300, 20, 20, 52, 40
    picture = paper(height)
    count = len(one.opening)
    x = left + (WIDTH_PX - left - right) * np.arange(count) / max(1, count - 1)

    def points(track: Track) -> Track:
        y = height - bottom - (height - top - bottom) * track
        fixed: Track = np.round(np.stack([x, y], axis=1) * 8).astype(np.int32)
        return fixed

    wanted = _scaled(one.wanted, 0.0 if truth else float(np.percentile(one.wanted, 5)))
    outline = points(np.pad(wanted, (0, count - len(wanted))))
    floor = np.array([[outline[-1, 0], (height - bottom) * 8], [outline[0, 0], (height - bottom) * 8]], np.int32)
    cv2.fillPoly(picture, [np.concatenate([outline, floor])], PALE, cv2.LINE_AA, 3)
    cv2.line(picture, (left, height - bottom), (WIDTH_PX - right, height - bottom), MUTED, 1, cv2.LINE_AA)
    length = count / fps
    every = next((s for s in (1, 2, 5, 10, 20) if length / s <= _MOST_LABELS), 30)
    for second in range(0, int(length) + 1, every):
        at = left + round((WIDTH_PX - left - right) * second * fps / max(1, count - 1))
        cv2.line(picture, (at, height - bottom), (at, height - bottom + 8), MUTED, 1, cv2.LINE_AA)
        if at < WIDTH_PX - 40:
            text(picture, f"{second} s", (at + 6, height - 12), 0.6, MUTED)
    cv2.polylines(picture, [points(_scaled(one.opening, 0.0))], False, LINE, 3, cv2.LINE_AA, 3)
    text(picture, one.clip.name, (left, 32), 0.75, most_px=700)
    text(picture, f"r = {one.r:.2f}   offset {one.lag:+d}", (left + 740, 32), 0.75)
    cv2.line(picture, (1210, 24), (1250, 24), LINE, 4, cv2.LINE_AA)
    text(picture, "opening", (1260, 32), 0.65, MUTED)
    cv2.rectangle(picture, (1440, 14), (1480, 34), PALE, -1)
    text(picture, "true opening" if truth else "loudness", (1490, 32), 0.65, MUTED)
    return picture


def plots(spoken: Sequence[Spoken], fps: float, most: int = 3) -> Bgr:
    """The clips that follow worst, in the middle, and best."""
    order = sorted(spoken, key=lambda one: one.r)
    picked = {order[round(i * (len(order) - 1) / max(1, most - 1))].clip.name: None for i in range(most)}
    return np.concatenate([plot(one, fps) for one in order if one.clip.name in picked])


def sheet(one: Spoken, fps: float, columns: int = 8) -> Bgr:
    """Faces through time, and from the most closed to the most open."""
    cell, gap, caption = (WIDTH_PX - 7 * 12) // 8, 12, 44
    by_time = sorted(one.thumbs)
    by_opening = sorted(one.thumbs, key=lambda step: one.opening[step])
    rows = []
    for title, steps in (("through time", by_time), ("from closed to open", by_opening)):
        picked = [steps[round(i * (len(steps) - 1) / (columns - 1))] for i in range(columns)]
        row = paper(cell + caption + 40)
        text(row, f"{one.clip.name}, {title}", (0, 28), 0.7, MUTED)
        for i, step in enumerate(picked):
            face = cv2.resize(one.thumbs[step], (cell, cell), interpolation=cv2.INTER_CUBIC)
            row[40 : 40 + cell, i * (cell + gap) : i * (cell + gap) + cell] = face
            text(row, f"{step / fps:.2f} s", (i * (cell + gap), 40 + cell + 30), 0.6, MUTED)
        rows.append(row)
    return np.concatenate(rows)


def side_by_side(first: Bgr, second: Bgr, names: tuple[str, str], gain: int) -> Bgr:
    """Two pictures of one size and, gray in the middle, their difference times `gain`."""
    cell = (WIDTH_PX - 2 * 16) // 3
    height = round(cell * first.shape[0] / first.shape[1])
    picture = paper(height + 44)
    difference = np.clip(128 + gain * (second.astype(np.int16) - first), 0, 255).astype(np.uint8)
    labels = (*names, f"difference x {gain}, gray = none")
    for i, (part, label) in enumerate(zip((first, second, difference), labels, strict=True)):
        left = i * (cell + 16)
        text(picture, label, (left, 30), 0.7, MUTED)
        picture[44:, left : left + cell] = cv2.resize(part, (cell, height), interpolation=cv2.INTER_NEAREST)
    return picture
