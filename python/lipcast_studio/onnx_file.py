"""Opening .onnx files and checking that they fit their place."""

from __future__ import annotations

from pathlib import Path

import onnxruntime

from .errors import StudioError


def session(path: Path) -> onnxruntime.InferenceSession:
    """One thread, on the CPU. StudioError where ONNX Runtime cannot load it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise StudioError(f"{path}: not a model that ONNX Runtime loads: {error}") from None


def _tail(value: onnxruntime.NodeArg) -> list[object]:
    return list(value.shape[1:])


def check_audio_encoder(path: Path) -> None:
    """Mel windows [N,1,80,16] in; the features are checked by running one."""
    inputs = session(path).get_inputs()
    if len(inputs) != 1 or _tail(inputs[0]) != [1, 80, 16]:
        raise StudioError(f"{path}: takes {[v.shape for v in inputs]}, want one input [N, 1, 80, 16] (an ave audio encoder)")


_SOUNDS = {"ave": ([32, 16, 16],), "hubert": ([16, 32, 32], [32, 32, 32]), "wenet": ([128, 16, 32], [256, 16, 32])}


def unet_kind(path: Path) -> tuple[int, str]:
    """Side of the picture that a SyncTalk_2D or Ultralight generator takes, 160 or 320, and what it hears: ave, hubert, wenet."""
    inputs = session(path).get_inputs()
    tails = [_tail(value) for value in inputs]
    for side in (160, 320):
        for kind, sounds in _SOUNDS.items():
            if any(tails == [[6, side, side], sound] for sound in sounds):
                return side, kind
    shapes = [value.shape for value in inputs]
    raise StudioError(
        f"{path}: takes {shapes}, want [N, 6, S, S] with S 160 or 320, and sound of SyncTalk_2D [N, 32, 16, 16] "
        "or Ultralight [N, 16 or 32, 32, 32], [N, 128 or 256, 16, 32]"
    )


def wav2lip_inner_px(path: Path) -> int:
    """Side of the picture that a Wav2Lip generator takes, 16..2048; its inputs may come in either order."""
    loaded = session(path)
    tails = [_tail(value) for value in loaded.get_inputs()]
    outputs = [_tail(value) for value in loaded.get_outputs()]
    for picture, mel in (tails, tails[::-1]) if len(tails) == 2 else ():
        side = picture[-1] if picture else None
        fits = isinstance(side, int) and 16 <= side <= 2048 and picture == [6, side, side] and mel == [1, 80, 16]
        if isinstance(side, int) and fits and outputs == [[3, side, side]]:
            return side
    shapes = f"{[v.shape for v in loaded.get_inputs()]} -> {[v.shape for v in loaded.get_outputs()]}"
    raise StudioError(f"{path}: takes {shapes}, want [N, 1, 80, 16] and [N, 6, S, S] -> [N, 3, S, S] (Wav2Lip)")
