"""Phones of real speech by forced alignment: pocketsphinx and the English acoustic model in its own wheel."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

import numpy as np
from scipy.io import wavfile

from ..training.mel import RATE_HZ
from .speech import Clip
from .visemes import ENGLISH, Phone, expand

_FRAME_S = 0.010
_LABELS = {k.upper(): v for k, v in ENGLISH.items()} | {"SIL": "sil", "+NSN+": "sil", "+SPN+": "sil", "+NOISE+": "sil"}


@cache
def test_data() -> Path:
    """Folder of Debian's pocketsphinx-testdata."""
    listed = subprocess.run(["dpkg", "-L", "pocketsphinx-testdata"], check=True, capture_output=True, text=True).stdout
    return next(Path(line) for line in listed.splitlines() if line.endswith("test/data"))


def align(wave: np.ndarray, words: str) -> list[Phone]:
    """wave [L] float32 at 16 kHz and what it says, lower case -> visemes with times."""
    from pocketsphinx import Decoder

    pcm = np.round(np.clip(wave, -1, 1) * 32767).astype("<i2").tobytes()
    decoder = Decoder(samprate=RATE_HZ, loglevel="FATAL")
    decoder.set_align_text(words)
    for second_pass in (False, True):
        if second_pass:
            decoder.set_alignment()
        decoder.start_utt()
        decoder.process_raw(pcm, full_utt=True)
        decoder.end_utt()
    phones: list[Phone] = []
    for word in decoder.get_alignment():
        for phone in word:
            phones.append((phone.name, phone.start * _FRAME_S, (phone.start + phone.duration) * _FRAME_S))
    return expand(phones, _LABELS)


def librivox() -> list[tuple[str, str, Clip]]:
    """(name, words, clip) of the five public-domain sentences. For tests only, never for training or choosing."""
    folder = test_data() / "librivox"
    out = []
    for line in (folder / "transcription").read_text().splitlines():
        words, name = line.replace("<s>", "").replace("</s>", "").rsplit("(", 1)
        name = name.strip(" )")
        rate, wave = wavfile.read(folder / f"{name}.wav")
        if rate != RATE_HZ:
            raise ValueError(f"{name}: {rate} Hz, want {RATE_HZ}")
        x = wave.astype(np.float32) / 32768
        out.append((name, words.strip(), Clip(x, align(x, words.strip()))))
    return out
