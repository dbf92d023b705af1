"""`lipcast avatar verify DIR`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..archive import read_manifest
from ..engine import inspect
from ..errors import EXIT_OUTPUT, EXIT_USAGE, StudioError
from . import against as reference
from . import pictures, report, sounds, speak
from .verdict import Measure, measures


def _data(one: Measure) -> dict[str, Any]:
    limit = {"at_most": one.at_most, "at_least": one.at_least}
    found = {"name": one.name, "found": round(float(one.found), 4), "unit": one.unit, **limit}
    return {**found, "passed": one.passed, "about": one.about}


def verify(
    folder: Path,
    say: Callable[[str], None],
    *,
    against: Path | None = None,
    audio: Path | None = None,
    output: Path | None = None,
    overwrite: bool = False,
    as_json: bool = False,
) -> tuple[bool, str]:
    """(passed, what to print). StudioError where the loader, a sound or a reference folder is refused.

    The mouth is held against the truth clips that the avatar ships, else against the loudness of a sound.
    """
    if folder.suffix == ".zip" and folder.is_file():
        raise StudioError(f"{folder}: want a folder; lipcast avatar unpack makes one of it", EXIT_USAGE)
    manifest = read_manifest(folder)
    loaded = inspect(folder.absolute())
    if output is not None:
        report.claim(output, overwrite)
    layout = speak.Layout(folder, manifest)
    spoken_audio = reference.sound_of(against, audio) if against is not None else audio
    clips = sounds.find(folder, manifest, audio)
    compared = reference.compare(layout, against, spoken_audio, say) if against is not None else None
    silence, spoken, faces = speak.run(layout, clips, say)
    found = measures(layout, silence, spoken) + (compared.measures if compared else [])
    passed = all(one.passed for one in found)
    truth = clips[0].area_px is not None
    with_what = f"{len(clips)} truth clips" if truth else f"the loudness of {clips[0].path.name} (no truth clips)"
    title = f"Avatar {manifest['name']}"
    generator = manifest["generator"]
    facts = [
        f"{loaded['size']}, {loaded['frames']} frames, {loaded['fps']} a second; {generator['family']},"
        f" {generator['inner_px']} px; on {loaded['provider']}",
        f"checks of the loader: {loaded['checks']}",
        f"the mouth is compared with {with_what}",
        *(f"note: {note}" for note in loaded["notes"]),
    ]
    data = {
        "avatar": manifest["name"],
        "path": str(folder),
        "passed": passed,
        "compared_with": "truth" if truth else "loudness",
        "loader": loaded["checks"],
        "notes": loaded["notes"],
        "measures": [_data(one) for one in found],
        "clips": [
            {"name": one.clip.name, "frames": len(one.opening), "r": round(one.r, 4), "offset_frames": one.lag} for one in spoken
        ],
    }
    if output is not None:
        middle = sorted(spoken, key=lambda one: one.r)[len(spoken) // 2]
        figures = [
            report.Figure(pictures.plots(spoken, layout.fps), "How open the mouth is, over time"),
            report.Figure(pictures.sheet(middle, layout.fps), "What it draws", ".jpg"),
        ]
        if len(faces) == 2:
            caption = "The frame whose seam shows most, beside the avatar's own frame"
            figures.append(report.Figure(pictures.side_by_side(faces[0], faces[1], ("own frame", "redrawn"), 8), caption, ".jpg"))
        if compared:
            caption = f"Frame {compared.frame}, which differs most from its reference"
            pair = pictures.side_by_side(compared.pair[0], compared.pair[1], ("reference", "rendered"), 16)
            figures.append(report.Figure(pair, caption, ".jpg"))
        try:
            report.write(output, title, facts, found, figures, data)
        except OSError as error:
            raise StudioError(f"{error.filename or output}: {error.strerror}", EXIT_OUTPUT) from None
    if as_json:
        return passed, json.dumps(data, indent=2, ensure_ascii=False)
    lines = [title, *facts, "", *report.table(found), "", f"verdict: {'pass' if passed else 'FAIL'}"]
    if output is not None:
        lines.append(f"report: {output / report.FILES[0]}")
    return passed, "\n".join(lines)
