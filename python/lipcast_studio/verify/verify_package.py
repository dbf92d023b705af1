"""`lipcast avatar verify DIR`."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..archive import read_manifest
from ..engine import Bgr, inspect
from ..errors import EXIT_OUTPUT, EXIT_USAGE, StudioError
from . import against as reference
from . import flicker, pictures, report, sounds, speak
from .verdict import Measure, measures


def _data(one: Measure) -> dict[str, Any]:
    limit = {"at_most": one.at_most, "at_least": one.at_least}
    found = {"name": one.name, "found": round(float(one.found), 4), "unit": one.unit, **limit}
    return {**found, "passed": one.passed, "about": one.about}


@dataclass(frozen=True)
class _Found:
    """What the renderings gave."""

    silence: speak.Silence
    spoken: list[speak.Spoken]
    faces: list[Bgr]  # own and redrawn, of the frame with the worst seam; empty where that has no face
    compared: reference.Comparison | None
    measures: list[Measure]

    @property
    def failed(self) -> list[str]:
        """Names of the measures beyond their limits."""
        return [one.name for one in self.measures if not one.passed]


def _facts(manifest: dict[str, Any], loaded: dict[str, Any], clips: Sequence[sounds.Clip]) -> list[str]:
    """Lines about the avatar, and about what it is held against."""
    truth = clips[0].area_px is not None
    with_what = f"{len(clips)} truth clips" if truth else f"the loudness of {clips[0].path.name} (no truth clips)"
    generator = manifest["generator"]
    return [
        f"{loaded['size']}, {loaded['frames']} frames, {loaded['fps']} a second; {generator['family']},"
        f" {generator['inner_px']} px; on {loaded['provider']}",
        f"checks of the loader: {loaded['checks']}",
        f"the mouth is compared with {with_what}",
        *(f"note: {note}" for note in loaded["notes"]),
    ]


def _json(folder: Path, manifest: dict[str, Any], loaded: dict[str, Any], found: _Found) -> dict[str, Any]:
    return {
        "avatar": manifest["name"],
        "path": str(folder),
        "passed": not found.failed,
        "failed": found.failed,
        "compared_with": "truth" if found.spoken[0].clip.area_px is not None else "loudness",
        "loader": loaded["checks"],
        "notes": loaded["notes"],
        "measures": [_data(one) for one in found.measures],
        "clips": [_clip(one) for one in found.spoken],
    }


def _clip(one: speak.Spoken) -> dict[str, Any]:
    place = {"name": one.clip.name, "sound": str(one.clip.path)}
    return {**place, "frames": len(one.opening), "r": round(one.r, 4), "offset_frames": one.lag}


def _figures(found: _Found, layout: speak.Layout) -> list[report.Figure]:
    fps = layout.fps
    middle = sorted(found.spoken, key=lambda one: one.r)[len(found.spoken) // 2]
    caption = "How open the mouth is, over time; line and area each by its own largest value"
    figures = [
        report.Figure(pictures.plots(found.spoken, fps), caption),
        report.Figure(pictures.sheet(middle, fps), "What it draws", ".jpg"),
    ]
    if len(found.faces) == 2:
        worst = max(found.spoken, key=lambda one: one.worst_seam[0])
        when = f"{worst.clip.name}, {worst.worst_seam[1] / fps:.2f} s"
        caption = f"The frame whose seam shows most ({when}), beside the avatar's own frame"
        shown = pictures.side_by_side(found.faces[0], found.faces[1], ("own frame", "redrawn"), 8)
        figures.append(report.Figure(shown, caption, ".jpg"))
    if "flicker" in found.failed:
        pair = flicker.worst(found.silence.drawn, found.silence.source, flicker.mask_part(layout.generator))
        caption = "Two frames of silence, one after the other, where the network flickers most"
        figures.append(report.Figure(pictures.side_by_side(*pair, ("one", "the next"), 8), caption, ".jpg"))
    if found.compared:
        caption = f"Frame {found.compared.frame}, which differs most from its reference"
        shown = pictures.side_by_side(*found.compared.pair, ("reference", "rendered"), 16)
        figures.append(report.Figure(shown, caption, ".jpg"))
    return figures


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
    """(passed, what to print). StudioError where the loader, a sound, a reference folder or the output is refused.

    The mouth is held against the truth clips that the avatar ships, else against the loudness of a sound.
    What can be refused is refused before the first frame is rendered.
    """
    if folder.suffix == ".zip" and folder.is_file():
        raise StudioError(f"{folder}: want a folder; lipcast avatar unpack makes one of it", EXIT_USAGE)
    manifest = read_manifest(folder)
    loaded = inspect(folder.absolute())
    layout = speak.Layout(folder, manifest)
    clips = sounds.find(folder, manifest, audio)
    counts = [speak.spoken_frames(clip.path, layout.fps) for clip in clips]
    references = reference.references(layout, against, audio) if against is not None else None
    title, facts = f"Avatar {manifest['name']}", _facts(manifest, loaded, clips)
    with report.claimed(output, overwrite) if output is not None else nullcontext():
        compared = reference.compare(layout, references, say) if references is not None else None
        silence, spoken, faces = speak.run(layout, clips, counts, say)
        measured = measures(layout, silence, spoken) + (compared.measures if compared else [])
        found = _Found(silence, spoken, faces, compared, measured)
        data = _json(folder, manifest, loaded, found)
        if output is not None:
            try:
                report.write(output, title, facts, found.measures, _figures(found, layout), data)
            except OSError as error:
                raise StudioError(f"{error.filename or output}: {error.strerror}", EXIT_OUTPUT) from None
    if as_json:
        return not found.failed, json.dumps(data, indent=2, ensure_ascii=False)
    verdict = f"FAIL: {', '.join(found.failed)}" if found.failed else "pass"
    lines = [title, *facts, "", *report.table(found.measures), "", f"verdict: {verdict}"]
    if output is not None:
        lines.append(f"report: {output / report.FILES[0]}")
    return not found.failed, "\n".join(lines)
