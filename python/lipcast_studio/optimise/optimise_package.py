"""`lipcast avatar optimise DIR`: makes an avatar's generator faster."""

from __future__ import annotations

import json
from pathlib import Path

from lipcast_studio.optimise.choose import LARGEST_DIFFERENCE, choose
from lipcast_studio.optimise.package import Package
from lipcast_studio.optimise.split import RefusedError

IMAGE_FILE, AUDIO_FILE, FIGURES_FILE = "generator_image.onnx", "generator_audio.onnx", "optimise.json"


def optimise(folder: Path, *, exact: bool, overwrite: bool) -> str:
    """Splits the generator of a package and lists the parts in it. Returns what to tell the user."""
    package = Package(folder)
    if not overwrite:
        for name in (IMAGE_FILE, AUDIO_FILE, FIGURES_FILE):
            if (folder / name).exists():
                raise RefusedError(f"{folder / name} exists; --overwrite replaces it")
    model = package.network()
    try:
        choice = choose(model, exact=exact)
    except RefusedError as error:
        raise RefusedError(f"{folder}: {package.model_name}: {error}") from None
    parts, worst = choice.parts, choice.difference
    taken_apart: int = choice.figures["convolutions_taken_apart"]
    allowed = LARGEST_DIFFERENCE if taken_apart else 0.0
    if not worst <= allowed:
        raise RefusedError(f"{folder}: {package.model_name}: the parts differ from the whole by {worst:.3g}: want {allowed}")
    package.add_model(IMAGE_FILE, parts.image)
    package.add_model(AUDIO_FILE, parts.audio)
    figures = {"source_sha256": package.model_sha256, "largest_difference": worst, **choice.figures}
    package.add(FIGURES_FILE, (json.dumps(figures, indent=2) + "\n").encode())
    package.generator["split"] = {"image": IMAGE_FILE, "audio": AUDIO_FILE, "source_sha256": package.model_sha256}
    package.save()
    floats = sum(cut.floats for cut in parts.cuts)
    times = ", ".join(f"{name} {ms} ms" for name, ms in choice.figures["ms_a_frame_one_thread"].items())
    return (
        f"{IMAGE_FILE}: {parts.image_nodes} nodes, once for each avatar frame; {AUDIO_FILE}: {parts.audio_nodes} nodes,"
        f" for every drawn frame\nkept between them: {len(parts.cuts)} tensors, {2 * floats / 2**20:.2f} MiB a frame in"
        f" half precision, twice that in full\nconvolutions taken apart: {taken_apart}; difference from the whole network:"
        f" {worst:.3g}\none thread here: {times}; {choice.figures['times_faster']}x"
    )
