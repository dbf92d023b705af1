"""speech.wav of a package: the person's own voice, for `optimise` to calibrate with, `verify` and `bench` to speak."""

from __future__ import annotations

import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .errors import StudioError
from .face.speech_check import FPS, loudness_db, speech_frames
from .video.normalise import RATE_HZ, read_sound

Floats = npt.NDArray[np.float32]

SPEECH_FILE = "speech.wav"
LONGEST_S, LEAST_S = 10.0, 3.0
_AROUND_FRAMES = 5  # of silence, before and behind
FRAME_SAMPLES = RATE_HZ // FPS


def clearest_speech(samples: Floats, good: npt.NDArray[np.bool_] | None = None) -> tuple[int, int] | None:
    """The ten seconds or less with most speech, as frames first .. last - 1 of 40 ms; None under three seconds of speech.

    samples: [L] at 16 kHz. good [L // 640]: frames that may count. It begins and ends in a pause where one is near.
    """
    frames = len(samples) // FRAME_SAMPLES
    if frames < LEAST_S * FPS:
        return None
    spoken = speech_frames(loudness_db(samples, frames))
    if good is not None:
        spoken &= good
    size = min(int(LONGEST_S * FPS), frames)
    total = np.concatenate([[0], np.cumsum(spoken)])
    counts = total[size:] - total[:-size]
    best = np.flatnonzero(counts == counts.max())
    first = int(best[len(best) // 2])
    if counts[first] < LEAST_S * FPS:
        return None
    last = first + size
    pauses = np.flatnonzero(~spoken[first:last]) + first
    begins, ends = pauses[pauses < first + size // 4], pauses[pauses >= last - size // 4]
    begin, end = (int(begins[0]) if len(begins) else first), (int(ends[-1]) + 1 if len(ends) else last)
    inside = np.flatnonzero(spoken[begin:end]) + begin
    if len(inside) < LEAST_S * FPS:
        return first, last
    return max(begin, int(inside[0]) - _AROUND_FRAMES), min(end, int(inside[-1]) + 1 + _AROUND_FRAMES)


def write_speech(folder: Path, samples: Floats, stretch: tuple[int, int]) -> None:
    """Writes these frames of the sound into the package: mono, 16 kHz, 16 bits, as loud as it was."""
    part = samples[stretch[0] * FRAME_SAMPLES : stretch[1] * FRAME_SAMPLES]
    data = np.clip(np.round(part * 32768), -32768, 32767).astype("<i2")
    with wave.open(str(folder / SPEECH_FILE), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE_HZ)
        out.writeframes(data.tobytes())


def speech_line(stretch: tuple[int, int] | None, of: str) -> str:
    """What to tell the user: where the speech comes from, or why there is none. of: the name of its source."""
    if stretch is None:
        return f"no {SPEECH_FILE}: {of} holds less than {LEAST_S:g} s of speech"
    first, last = (frame / FPS for frame in stretch)
    return f"{SPEECH_FILE}: {first:.2f}-{last:.2f} s of {of}"


def take_speech(source: Path, folder: Path, say: Callable[[str], None]) -> None:
    """The clearest speech of a sound or video becomes the package's; says what it is, or why there is none."""
    try:
        samples = read_sound(source)
    except StudioError as error:
        say(f"no {SPEECH_FILE}: {error}")
        return
    stretch = clearest_speech(samples)
    if stretch is not None:
        write_speech(folder, samples, stretch)
    say(speech_line(stretch, source.name))
