"""What an avatar's network hears of a sound, frame by frame, as the engine feeds each family (docs/numerics.md 2, 4, 5)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime

from lipcast_studio.onnx_file import session
from lipcast_studio.optimise.package import Package
from lipcast_studio.optimise.split import dims_of, find_inputs
from lipcast_studio.training.mel import FPS, RATE_HZ, contexts, windows

Array = np.ndarray[Any, Any]
TAIL_SAMPLES = {"hubert": 5200, "wenet": 5040}  # of an ultralight window, behind its last frame
REACH_FRAMES = 8  # how far before and behind a frame its features lie at most


@dataclass(frozen=True)
class OwnSound:
    """A sound as a network hears it.

    frames: how many there are. contexts: of these frames [n, ...] float32, an item as the network's sound input.
    first: the first frame that does not hear what the mel spectrogram has before the sound where that is no silence.
    """

    frames: int
    first: int
    contexts: Callable[[Sequence[int]], Array]


def own_sound(package: Package, samples: Array) -> OwnSound:
    """samples: [L] at 16 kHz, followed by silence."""
    audio = package.manifest["audio"]
    hears_mel = package.generator["family"] == "wav2lip"
    if audio["kind"] in TAIL_SAMPLES:
        rate = audio["fps"]
        frames = -(-len(samples) * rate["num"] // (RATE_HZ * rate["den"]))
        return OwnSound(frames, 0, _ultralight(package, samples, frames))
    frames = -(-len(samples) * FPS // RATE_HZ)
    heard = windows(samples)
    if not hears_mel:
        features = _encoded(session(package.folder / audio["model"]), heard)
        heard = contexts(np.stack(features).reshape(len(heard), -1), frames)
    reflected = audio.get("padding", "reflect" if hears_mel else "zero") == "reflect"
    # Reflected samples are in the first window alone: a context of rows i - 8 .. has it in row 1, its copy in row 0.
    behind = 1 if hears_mel else REACH_FRAMES + 2
    return OwnSound(frames, behind if reflected else 0, lambda wanted: heard[list(wanted)])


def _ultralight(package: Package, samples: Array, frames: int) -> Callable[[Sequence[int]], Array]:
    """Features of windows of samples that stand on a grid; frame i takes those of i - half .. i + half - 1, zeros before."""
    audio = package.manifest["audio"]
    _, sound = find_inputs(package.network().graph)
    shape = [dim or 1 for dim in dims_of(sound)[1:]]
    encoder = session(package.folder / audio["model"])
    length, (_, each, floats) = encoder.get_inputs()[0].shape[1], encoder.get_outputs()[0].shape
    step = RATE_HZ * audio["fps"]["den"] // audio["fps"]["num"]
    lead = length - TAIL_SAMPLES[audio["kind"]] - each * step
    half = int(np.prod(shape)) // floats // 2
    count = -(-(frames + half) // each)
    padded = np.pad(samples, (lead, count * each * step + length))
    features = _encoded(encoder, (padded[i * each * step :][:length] for i in range(count)))
    rows = np.concatenate([np.zeros((half, floats), np.float32), *features])
    return lambda wanted: np.stack([rows[i : i + 2 * half].reshape(shape) for i in wanted])


def _encoded(encoder: onnxruntime.InferenceSession, items: Iterable[Array]) -> list[Array]:
    """What it makes of each item, whatever its batch and precision are."""
    (heard,) = encoder.get_inputs()
    batch = heard.shape[0] if isinstance(heard.shape[0], int) else 1
    kind = np.float16 if heard.type == "tensor(float16)" else np.float32
    feeds = ({heard.name: np.repeat(item[None], batch, axis=0).astype(kind)} for item in items)
    return [np.asarray(encoder.run(None, feed)[0][0], np.float32) for feed in feeds]
