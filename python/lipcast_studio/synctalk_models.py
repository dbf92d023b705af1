"""A trained SyncTalk_2D or Ultralight model, .pth or .onnx -> the package's two .onnx files."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from .errors import StudioError
from .onnx_file import check_audio_encoder, unet_kind
from .package_files import check_is_file

Say = Callable[[str], None]


def _pick(folder: Path, patterns: tuple[str, ...], what: str, flag: str) -> Path:
    for pattern in patterns:
        found = sorted(folder.glob(pattern))
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(str(p.relative_to(folder)) for p in found[:4])
            raise StudioError(f"{folder}: {len(found)} files could be the {what} ({names} ..); choose with {flag}")
    raise StudioError(f"{folder}: no {what} in it; give it with {flag}")


def find_generator(folder: Path) -> Path:
    """models/generator.onnx of an ONNX package, or the only .pth of a training folder."""
    patterns = ("models/generator.onnx", "generator.onnx", "checkpoint/*.pth", "checkpoints/*.pth")
    return _pick(folder, patterns, "generator", "--checkpoint")


def find_audio_encoder(folder: Path) -> Path:
    """The same for the audio encoder."""
    patterns = ("models/audio_encoder.onnx", "audio_encoder.onnx", "audio_visual_encoder.pth", "*/audio_visual_encoder.pth")
    return _pick(folder, (*patterns, "hubert.onnx", "encoder.onnx"), "audio encoder", "--audio-encoder")


def write_generator(source: Path, target: Path, say: Say) -> tuple[int, str]:
    """Copies an .onnx, exports a .pth; returns the side of its picture in pixels and what it hears: ave, hubert, wenet."""
    check_is_file(source)
    if source.suffix.lower() == ".onnx":
        inner_px, kind = unet_kind(source)
        shutil.copyfile(source, target)
        say(f"generator: {source.name}, {inner_px} px, {kind}, taken as it is")
        return inner_px, kind
    from . import checkpoint, onnx_export  # PyTorch is needed from here on only
    from .networks.made_up import network_input
    from .networks.unet import UNet, UNetShape

    weights = checkpoint.read_weights(source)
    try:
        shape = UNetShape.of(weights)
    except KeyError as error:
        key = str(error.args[0])
        raise StudioError(f"{source}: not a U-Net of SyncTalk_2D or Ultralight: layer {key} is missing") from None
    channels = {"ave": (32,), "hubert": (16, 32), "wenet": (128, 256)}[shape.audio]
    if shape.sound[0] not in channels:
        wanted = " or ".join(map(str, channels))
        raise StudioError(f"{source}: a U-Net fed with {shape.audio} sound of {shape.sound[0]} channels, want {wanted}")
    family = "a SyncTalk_2D" if shape.audio == "ave" else "an Ultralight"
    what = f"{family} U-Net of {shape.inner_px} px"
    network = checkpoint.fill(UNet(shape), weights, what, source)
    side = shape.inner_px
    inputs = [network_input("image", (2, 6, side, side)), network_input("audio", (2, *shape.audio_shape))]
    worst = onnx_export.export(network, inputs, ["input", "audio"], "output", target)
    say(f"generator: {source.name}, {side} px, {shape.audio}; ONNX Runtime and PyTorch differ by at most {worst:.1e}")
    return side, shape.audio


def write_audio_encoder(source: Path, target: Path, kind: str, say: Say) -> None:
    """ave: copies an .onnx, exports a .pth (its other parts, of training alone, are left out and named).

    hubert, wenet: the user's .onnx, with what has to be done before and after it.
    """
    check_is_file(source)
    if kind != "ave":
        from . import sample_encoder

        if source.suffix.lower() != ".onnx":
            raise StudioError(f"{source}: want the {kind} network as .onnx (--audio-encoder)")
        write = sample_encoder.write_hubert if kind == "hubert" else sample_encoder.write_wenet
        write(source, target, say)
        return
    if source.suffix.lower() == ".onnx":
        check_audio_encoder(source)
        shutil.copyfile(source, target)
        say(f"audio encoder: {source.name}, taken as it is")
        return
    from . import checkpoint, onnx_export
    from .networks.audio_encoder import AudioEncoder
    from .networks.made_up import network_input

    weights = checkpoint.read_weights(source)
    part = "audio_encoder."
    if any(key.startswith(part) for key in weights):
        others = sorted({key.split(".")[0] for key in weights if not key.startswith(part)})
        weights = {key: value for key, value in weights.items() if key.startswith(part)}
        if others:
            say(f"audio encoder: left out of {source.name}: {', '.join(others)}")
    else:
        weights = {part + key: value for key, value in weights.items()}
    network = checkpoint.fill(AudioEncoder(), weights, "a SyncTalk_2D audio encoder", source)
    mel = 8 * network_input("mel", (2, 1, 80, 16)) - 4
    worst = onnx_export.export(network, [mel], ["mel"], "features", target)
    say(f"audio encoder: {source.name}; ONNX Runtime and PyTorch differ by at most {worst:.1e}")
