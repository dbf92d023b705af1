"""A verification as a page of its own (report.html), as one picture (report.png) and as data (verify.json)."""

from __future__ import annotations

import base64
import html
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..engine import Bgr
from ..errors import EXIT_OUTPUT, StudioError
from . import pictures
from .verdict import Measure

FILES = ("report.html", "report.png", "verify.json")
_GOOD, _BAD = (74, 125, 22), (38, 38, 185)  # B, G, R


@dataclass(frozen=True)
class Figure:
    """A picture with its caption."""

    picture: Bgr
    caption: str
    kind: str = ".png"  # photographs are smaller as .jpg


def number(value: float) -> str:
    """Three digits at most behind the point, none that say nothing."""
    return f"{value:.3f}".rstrip("0").rstrip(".") if value % 1 else f"{value:.0f}"


def verdict(one: Measure) -> str:
    """pass, FAIL, or nothing where there is no limit."""
    return "" if not one.limit else "pass" if one.passed else "FAIL"


def table(measures: Sequence[Measure]) -> list[str]:
    """Lines for a terminal."""
    rows = [(one.name, f"{number(one.found)} {one.unit}".strip(), one.limit, verdict(one), one.about) for one in measures]
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True)).rstrip() for row in rows]


def _may_be_written(folder: Path, overwrite: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise StudioError(f"{folder}: is not a folder", EXIT_OUTPUT)
    for path in (folder / name for name in FILES):
        if path.is_dir():
            raise StudioError(f"{path}: is a folder; want a place for the report", EXIT_OUTPUT)
        if path.exists() and not overwrite:
            raise StudioError(f"{path}: exists; --overwrite replaces it", EXIT_OUTPUT)


@contextmanager
def claimed(folder: Path, overwrite: bool) -> Iterator[None]:
    """Around the rendering: the report's files are new, or may be replaced, and the folder takes files.

    StudioError before the block where not; folders that were made for a report go again where none came.
    """
    made: list[Path] = []
    try:
        try:
            _may_be_written(folder, overwrite)
            made = [path for path in (folder, *folder.parents) if not path.exists()]
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise StudioError(f"{folder}: {error.strerror}; want a folder that takes the report", EXIT_OUTPUT) from None
        yield
    finally:
        for path in made:  # the innermost first; those with a report in them stay
            with suppress(OSError):
                path.rmdir()


def _encoded(picture: Bgr, ending: str) -> bytes:
    flags = [cv2.IMWRITE_JPEG_QUALITY, 90] if ending == ".jpg" else [cv2.IMWRITE_PNG_COMPRESSION, 9]
    return cv2.imencode(ending, picture, flags)[1].tobytes()


_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1c2026; background: #fff; max-width: 960px;
  margin: 2rem auto; padding: 0 20px; }
h1 { font-size: 1.6rem; margin: 0 0 .2rem; } h1 b { border-radius: 6px; color: #fff; font-size: 1rem; padding: .15rem .6rem; }
.pass { color: #167d4a; } .FAIL { color: #b92626; font-weight: 600; }
h1 b.pass, h1 b.FAIL { color: #fff; } h1 .pass { background: #167d4a; } h1 .FAIL { background: #b92626; }
p { color: #555c66; margin: .2rem 0; } table { border-collapse: collapse; margin: 1.4rem 0; width: 100%; }
td, th { border-bottom: 1px solid #e4e8ec; padding: .4rem .8rem .4rem 0; text-align: left; vertical-align: top; }
td:nth-child(2), td:nth-child(3) { white-space: nowrap; font-variant-numeric: tabular-nums; } td:last-child { color: #555c66; }
figure { margin: 1.6rem 0; }
img { width: 100%; height: auto; display: block; } figcaption { color: #555c66; margin-bottom: .4rem; }
"""


def page(title: str, facts: Sequence[str], measures: Sequence[Measure], figures: Sequence[Figure], passed: bool) -> str:
    """One HTML file that needs no other."""
    word = "pass" if passed else "FAIL"
    rows = "".join(
        f"<tr><td>{html.escape(one.name)}</td><td>{number(one.found)} {html.escape(one.unit)}</td>"
        f"<td>{html.escape(one.limit)}</td>"
        f'<td class="{verdict(one)}">{verdict(one)}</td><td>{html.escape(one.about)}</td></tr>\n'
        for one in measures
    )
    shown = "".join(
        f"<figure><figcaption>{html.escape(one.caption)}</figcaption><img alt={html.escape(json.dumps(one.caption))} "
        f'src="data:image/{"jpeg" if one.kind == ".jpg" else "png"};base64,'
        f'{base64.b64encode(_encoded(one.picture, one.kind)).decode()}"></figure>\n'
        for one in figures
    )
    told = "".join(f"<p>{html.escape(fact)}</p>\n" for fact in facts)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head><body>\n"
        f'<h1>{html.escape(title)} <b class="{word}">{word}</b></h1>\n{told}'
        f"<table><tr><th>measure</th><th>found</th><th>limit</th><th></th><th></th></tr>\n{rows}</table>\n{shown}</body></html>\n"
    )


def picture(title: str, facts: Sequence[str], measures: Sequence[Measure], figures: Sequence[Figure], passed: bool) -> Bgr:
    """The same as one picture."""
    head = pictures.paper(110 + 40 * len(facts) + 44 * len(measures))
    pictures.text(head, title, (0, 52), 1.3, bold=True, most_px=pictures.WIDTH_PX - 180)
    word = "pass" if passed else "FAIL"
    pictures.text(head, word, (pictures.WIDTH_PX - 140, 52), 1.3, _GOOD if passed else _BAD, bold=True)
    for i, fact in enumerate(facts):
        pictures.text(head, fact, (0, 100 + 40 * i), 0.75, pictures.MUTED)
    for i, one in enumerate(measures):
        at = 128 + 40 * len(facts) + 44 * i
        cv2.line(head, (0, at - 32), (pictures.WIDTH_PX, at - 32), pictures.RULE, 1)
        colour = _GOOD if one.passed else _BAD
        cells = [(0, one.name), (290, f"{number(one.found)} {one.unit}"), (480, one.limit), (700, verdict(one)), (800, one.about)]
        for x, words in cells:
            pictures.text(head, words, (x, at), 0.62, colour if x == 700 else pictures.MUTED if x == 800 else pictures.INK)
    parts = [head]
    for one_figure in figures:
        caption = pictures.paper(60)
        pictures.text(caption, one_figure.caption, (0, 42), 0.75)
        parts += [caption, one_figure.picture]
    body = np.concatenate(parts)
    return cv2.copyMakeBorder(body, 40, 40, 40, 40, cv2.BORDER_CONSTANT, value=(255, 255, 255)).astype(np.uint8, copy=False)


def write(
    folder: Path, title: str, facts: Sequence[str], measures: Sequence[Measure], figures: Sequence[Figure], data: dict[str, Any]
) -> None:
    """The three files into a folder that is `claimed`; each appears whole."""
    passed = bool(data["passed"])
    whole = picture(title, facts, measures, figures, passed)
    half = cv2.resize(whole, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    contents = (
        page(title, facts, measures, figures, passed).encode("utf-8"),
        _encoded(half, ".png"),
        (json.dumps(data, indent=2, ensure_ascii=False) + "\n").encode("utf-8"),
    )
    for name, content in zip(FILES, contents, strict=True):
        part = folder / f".{name}.{os.getpid()}"
        try:
            part.write_bytes(content)
            part.replace(folder / name)
        finally:
            part.unlink(missing_ok=True)
