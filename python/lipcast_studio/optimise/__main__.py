"""python -m lipcast_studio.optimise DIR: makes an avatar's generator faster."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from lipcast_studio.optimise.package import Package
from lipcast_studio.optimise.split import RefusedError, largest_difference, split

IMAGE_FILE, AUDIO_FILE = "generator_image.onnx", "generator_audio.onnx"


def optimise(folder: Path, *, overwrite: bool) -> str:
    """Splits the generator of a package and lists the parts in it. Returns what to tell the user."""
    package = Package(folder)
    if not overwrite:
        for name in (IMAGE_FILE, AUDIO_FILE):
            if (folder / name).exists():
                raise RefusedError(f"{folder / name} exists; --overwrite replaces it")
    model = package.network()
    try:
        parts = split(model)
    except RefusedError as error:
        raise RefusedError(f"{folder}: {package.model_name}: {error}") from None
    worst = largest_difference(model, parts)
    if worst != 0.0:
        raise RefusedError(f"{folder}: {package.model_name}: the parts differ from the whole by {worst:.3g}: want 0")
    package.add(IMAGE_FILE, parts.image)
    package.add(AUDIO_FILE, parts.audio)
    package.generator["split"] = {"image": IMAGE_FILE, "audio": AUDIO_FILE, "source_sha256": package.model_sha256}
    package.save()
    floats = sum(cut.floats for cut in parts.cuts)
    return (
        f"{IMAGE_FILE}: {parts.image_nodes} nodes, once for each avatar frame; {AUDIO_FILE}: {parts.audio_nodes} nodes,"
        f" for every drawn frame\nkept between them: {len(parts.cuts)} tensors, {2 * floats / 2**20:.2f} MiB a frame in"
        " half precision, twice that in full\ndifference from the whole network: 0"
    )


def main(argv: list[str] | None = None) -> int:
    """0: done; 1: refused, with the reason in one line; 2: wrong use."""
    parser = argparse.ArgumentParser(prog="lipcast avatar optimise", description="Makes an avatar's generator faster.")
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder of an avatar package")
    parser.add_argument("--overwrite", action="store_true", help="replace the networks an earlier run made")
    args = parser.parse_args(argv)
    try:
        print(optimise(args.folder, overwrite=args.overwrite))
    except (RefusedError, OSError) as error:
        print(f"lipcast avatar optimise: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
