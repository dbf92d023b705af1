"""A human voice to choose by: Asterisk's English telephone prompts, aligned with their text. Never trained on.

Nothing of them enters the avatar. The voices of the training say too little about people: there almost every m, b and p
closes. What is looked at is the gap that the mouth values ask for (mouth.opening_px), so no picture is drawn.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ..training.agreement import correlation
from ..training.audio_stage import Floats, values_of
from ..training.mel import RATE_HZ
from ..training.nets import AudioBranch, AudioEncoder
from ..video.normalise import read_sound
from . import align, measure
from .mouth import opening_px
from .speech import Clip
from .visemes import PRESS, mouth_track

SHARE = Path("/usr/share")  # where Debian's asterisk-core-sounds-en and asterisk-core-sounds-en-g722 are
CLOSED_PX = 6.0  # a gap up to here is one of closed lips
OPEN_PX = 15.0  # true gap from which closed lips are wrong
PRESS_GAINS = (1.0, 1.25, 1.5, 1.75, 2.0)


@dataclass(frozen=True)
class Choice:
    """How a press gain does: r of the gaps, the share of m, b, p that close, and that of open mouths that do."""

    press_gain: float
    r: float
    closed: float
    wrongly_closed: float


def sentences(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """(name, words in lower case) of the prompts of four words and more that are spoken as they are written."""
    for line in lines:
        name, colon, text = line.partition(":")
        if not colon or line.startswith(";") or re.search(r"[\[\]()0-9]", text):
            continue
        words = re.sub(r"[^a-z' ]", " ", text.lower()).split()
        if len(words) >= 4:
            yield name, " ".join(words)


def load(share: Path = SHARE) -> list[Clip]:
    """Prompts of 1.2 to 12 s; those with words that the aligner does not know are left out."""
    clips, texts = [], share / "doc/asterisk-core-sounds-en/core-sounds-en.txt.gz"
    if not texts.exists():
        raise SystemExit(f"{texts}: not there; install asterisk-core-sounds-en and asterisk-core-sounds-en-g722")
    with gzip.open(texts, "rt", errors="replace") as listed:
        for name, words in sentences(listed):
            path = share / f"asterisk/sounds/en_US_f_Allison/{name}.g722"
            wave = read_sound(path) if path.exists() else np.zeros(0, np.float32)
            if not 1.2 <= len(wave) / RATE_HZ <= 12:
                continue
            try:
                clips.append(Clip(wave, align.align(wave, words)))
            except RuntimeError:  # pocketsphinx: a word without a pronunciation, or no path through the sound
                continue
    return clips


def choices(values: Floats, truth: Floats) -> list[Choice]:
    """values, truth [n,7] -> what each press gain makes of them."""
    true_px = np.array([opening_px(v) for v in truth])
    pressed = truth[:, PRESS] > measure.PRESSED
    wide = (truth[:, PRESS] < 0.2) & (true_px > OPEN_PX)
    out = []
    for gain in PRESS_GAINS:
        louder = values.copy()
        louder[:, PRESS] = np.minimum(1, louder[:, PRESS] * gain)
        gap_px = np.array([opening_px(v) for v in louder])
        shut = gap_px <= CLOSED_PX
        out.append(Choice(gain, correlation(gap_px, true_px), float(shut[pressed].mean()), float(shut[wide].mean())))
    return out


def report(encoder: AudioEncoder, branch: AudioBranch, share: Path = SHARE, log=print) -> None:
    """Prints the table by which `train_audio.WHEN_HIGH` was chosen, and no gain at all."""
    found, true = [], []
    for clip in load(share):
        with torch.no_grad():
            values = values_of(encoder, branch, clip.wave)
        track = mouth_track(clip.visemes, clip.seconds)
        count = min(len(values), len(track))
        found.append(values[:count])
        true.append(track[:count])
    log(f"prompts: {len(found)} clips, {sum(map(len, true))} frames")
    for choice in choices(np.concatenate(found), np.concatenate(true).astype(np.float32)):
        log(f"press gain {choice.press_gain:.2f}: r {choice.r:.3f}, closed {choice.closed:.3f}, "
            f"wrongly closed {choice.wrongly_closed:.3f}")  # fmt: skip
