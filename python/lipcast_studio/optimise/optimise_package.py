"""`lipcast avatar optimise DIR`: makes an avatar's generator faster."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lipcast_studio.errors import EXIT_USAGE
from lipcast_studio.optimise.choose import LARGEST_DIFFERENCE, Choice, Feeds, choose
from lipcast_studio.optimise.own_feeds import own_feeds
from lipcast_studio.optimise.package import Package
from lipcast_studio.optimise.split import RefusedError, find_inputs

IMAGE_FILE, AUDIO_FILE, FIGURES_FILE = "generator_image.onnx", "generator_audio.onnx", "optimise.json"
INT8_FILE, INT8_IMAGE_FILE = "generator_int8.onnx", "generator_int8_image.onnx"
MADE = (IMAGE_FILE, AUDIO_FILE, INT8_FILE, INT8_IMAGE_FILE, FIGURES_FILE)


@dataclass(frozen=True)
class Wishes:
    """What the user asked for."""

    exact: bool = False
    overwrite: bool = False
    audio: Path | None = None  # speech to calibrate with; None: looked for in the package
    require_psnr_db: float | None = None  # None: the twin in 8 bits is measured but not used


def optimise(folder: Path, wishes: Wishes) -> str:
    """Adds the variants of a package's generator and names the one to draw with. Returns what to tell the user."""
    if wishes.exact and wishes.require_psnr_db is not None:
        wanted = f"--require-psnr {wishes.require_psnr_db:g}"
        raise RefusedError(f"--exact with {wanted}: want one of them: --exact makes no twin in 8 bits", EXIT_USAGE)
    package = Package(folder)
    if not wishes.overwrite:
        for name in MADE:
            if (folder / name).exists():
                raise RefusedError(f"{folder / name} exists; --overwrite replaces it")
    model = package.network()
    package.drop(MADE)
    package.check()
    feeds, no_twin = None, "--exact"
    with _named(folder / package.model_name):
        find_inputs(model.graph)
    if not wishes.exact:
        try:
            feeds = Feeds.own(model, own_feeds(package, wishes.audio), package.generator["mask"])
        except RefusedError as error:
            if wishes.audio is not None or wishes.require_psnr_db is not None:
                raise
            no_twin = str(error)
    with _named(folder / package.model_name):
        choice = choose(model, exact=wishes.exact, feeds=feeds)
    allowed = LARGEST_DIFFERENCE if choice.figures.get("convolutions_taken_apart") else 0.0
    if not choice.difference <= allowed:
        raise RefusedError(
            f"{folder}: {package.model_name}: the parts differ from the whole by {choice.difference:.3g}: want {allowed}"
        )
    variant, why = _decide(choice, wishes)
    _write(package, choice, {"variant": variant, "why": why})
    return _report(choice, variant, why, no_twin)


@contextmanager
def _named(network: Path) -> Iterator[None]:
    """What is refused of a network says which file it is."""
    try:
        yield
    except RefusedError as error:
        raise RefusedError(f"{network}: {error}") from None


def _decide(choice: Choice, wishes: Wishes) -> tuple[str, str]:
    """The variant to draw with, and why. What loses is used only where its loss was allowed in numbers."""
    lossless = ["full"] + (["split"] if choice.parts else [])
    if choice.int8 is None:
        return choice.fastest(lossless), "the fastest here"
    found, wanted = choice.int8.loss.psnr_db, wishes.require_psnr_db
    if wanted is None:
        why = f"the fastest here without a loss; int8 has one ({found} dB): --require-psnr {int(found)} allows it"
        return choice.fastest(lossless), why
    if found < wanted:
        return choice.fastest(lossless), f"int8 is not used: {found} dB on held-out frames: want {wanted:g} or more"
    return choice.fastest([*lossless, "int8"]), f"the fastest here; int8 reaches {found} dB of the {wanted:g} wanted"


def _write(package: Package, choice: Choice, decision: dict[str, str]) -> None:
    source: dict[str, Any] = {"source_sha256": package.model_sha256}
    if choice.parts:
        package.add_model(IMAGE_FILE, choice.parts.image)
        package.add_model(AUDIO_FILE, choice.parts.audio)
        package.generator["split"] = {"image": IMAGE_FILE, "audio": AUDIO_FILE, **source}
    if choice.int8:
        twin = {"model": INT8_FILE}
        package.add_model(INT8_FILE, choice.int8.twin.model)
        if choice.int8.image is not None and choice.parts:
            same = choice.int8.image == choice.parts.image
            twin["image"] = IMAGE_FILE if same else INT8_IMAGE_FILE
            if not same:
                package.add_model(INT8_IMAGE_FILE, choice.int8.image)
        package.generator["int8"] = {**twin, **source}
    package.generator["variant"] = decision["variant"]
    figures = {**source, **decision, "largest_difference": choice.difference, **choice.figures}
    package.add(FIGURES_FILE, (json.dumps(figures, indent=2) + "\n").encode())
    package.save()


def _report(choice: Choice, variant: str, why: str, no_twin: str) -> str:
    lines, parts, figures = [], choice.parts, choice.figures
    if parts:
        kept, in_full = parts.kept_floats
        lines += [
            f"{IMAGE_FILE}: {parts.image_nodes} nodes, once for each avatar frame; {AUDIO_FILE}: {parts.audio_nodes} nodes,"
            " for every drawn frame",
            f"kept between them: {len(parts.cuts)} tensors, {2 * (kept + in_full) / 2**20:.2f} MiB a frame in half precision,"
            f" {4 * kept / 2**20:.2f} in full",
            f"convolutions taken apart: {figures['convolutions_taken_apart']}; difference from the whole network:"
            f" {choice.difference:.3g} (on {figures['judged_on']})",
        ]
    else:
        lines.append(f"not split: {choice.unsplit}")
    nodes = figures["nodes"]
    if gone := nodes["network"] - nodes["simplified"]:
        lines.append(f"simplified: {gone} of {nodes['network']} nodes compute nothing for a frame and are left out")
    if choice.int8:
        found, full = choice.int8.loss, choice.int8.twin.in_full
        lines.append(
            f"{INT8_FILE}: on held-out frames {found.psnr_db} dB PSNR, {found.ssim} SSIM, mouth opening loses"
            f" {found.mouth_opening}; layers left in full: {len(full)}"
        )
    else:
        lines.append(f"no twin in 8 bits: {no_twin}")
    times = ", ".join(f"{name} {ms} ms" for name, ms in figures["ms_a_frame_one_thread"].items())
    faster = ", ".join(
        f"{name} {ratio['median']}x ({ratio['low']} .. {ratio['high']})"
        for name, ratio in figures["times_faster_than_full"].items()
    )
    lines += [f"one thread here: {times}", f"against full, in turn: {faster}", f"draws with {variant}: {why}"]
    return "\n".join(lines)
