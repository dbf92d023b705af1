"""Writes marker models and marker avatars to disk, for tests in other languages and by hand.

python tests/markers/make_markers.py models DIR
python tests/markers/make_markers.py avatar DIR --model M2 --frames 50 --size 320x240
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from markers import avatars, models
from markers.avatars import make_avatar, read_barcode

__all__ = ["main", "make_avatar", "read_barcode", "write_models"]


def write_models(folder: Path, inner_px: int = 160) -> None:
    """All marker models and their broken twins, named by what they are."""
    folder.mkdir(parents=True, exist_ok=True)
    encoder = models.encoder()
    m1 = models.generator("M1", inner_px=inner_px)
    whole = {
        "m1": m1,
        "m1_batch1": models.generator("M1", inner_px=inner_px, batch=1),
        "m1_batch8": models.generator("M1", inner_px=inner_px, batch=8),
        "m1_other_names": models.generator(
            "M1", inner_px=inner_px, names=("face", "voice", "out")
        ),
        "m1_fp16": models.half_precision(m1),
        "m1_nhwc": models.channels_last(m1),
        "m2": models.generator("M2", inner_px=inner_px),
        **{
            f"m3_{name.replace('-', 'minus_')}": models.generator(
                "M3", inner_px=inner_px, emit=name
            )
            for name in models.BAD_VALUES
        },
        "m4": models.generator("M4", inner_px=inner_px, steps=64, side=192),
        "random": models.generator("random", inner_px=inner_px),
        "encoder_mean": encoder,
        "encoder_mean_batch1": models.encoder(batch=1),
        "encoder_mean_batch8": models.encoder(batch=8),
        "encoder_other_names": models.encoder(
            names=("mel_spectrogram", "audio_features")
        ),
        "encoder_onset": models.encoder("onset"),
        "encoder_random": models.encoder("random"),
    }
    for name, model in whole.items():
        (folder / f"{name}.onnx").write_bytes(model.SerializeToString())
    data = m1.SerializeToString()
    (folder / "broken_half.onnx").write_bytes(data[: len(data) // 2])
    (folder / "broken_zero.onnx").write_bytes(b"")
    (folder / "broken_future_opset.onnx").write_bytes(models.future_opset(m1))
    (folder / "broken_own_op.onnx").write_bytes(models.self_made_op(m1))
    models.external_data(
        models.generator("random", inner_px=inner_px), folder, "broken_no_data.onnx"
    )


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    every = commands.add_parser("models")
    every.add_argument("folder", type=Path)
    every.add_argument("--inner", type=int, default=160)
    one = commands.add_parser("avatar")
    one.add_argument("folder", type=Path)
    one.add_argument("--model", default="M1")
    one.add_argument("--encoder", default="mean")
    one.add_argument("--frames", type=int, default=50)
    one.add_argument("--size", default="320x240")
    one.add_argument("--inner", type=int, default=160)
    one.add_argument("--batch", type=int)
    one.add_argument("--order", default="loop")
    one.add_argument("--images", choices=("png", "jpg", "video"), default="png")
    one.add_argument("--colour", choices=("skin", "red", "blue"), default="skin")
    options = parser.parse_args()
    if options.command == "models":
        write_models(options.folder, options.inner)
        return 0
    width, height = map(int, options.size.split("x"))
    make_avatar(
        options.folder,
        frames=options.frames,
        size=(width, height),
        model=options.model,
        encoder=options.encoder,
        inner=options.inner,
        batch=options.batch,
        order=options.order,
        images=options.images,
        colour={"skin": avatars.SKIN, "red": avatars.RED, "blue": avatars.BLUE}[
            options.colour
        ],
        name=options.folder.name,
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
