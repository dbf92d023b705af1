"""Synthetic speech whose phone times are known: espeak-ng, flite and Festival, one .npz per utterance.

A clip holds 16 kHz mono float in [-1, 1] (peak 0.5, silence around it) and its visemes with times in seconds.
Every source's clock is checked by `clock_lag_ms`: the jaw's track must move with the loudness.
"""

from __future__ import annotations

import ctypes
import random
import re
import subprocess
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from scipy.io import wavfile
from scipy.signal import resample_poly

from ..training.mel import RATE_HZ
from . import text
from .visemes import CZECH, ENGLISH, FINNISH, JAW, ROMANCE, RUSSIAN, Phone, expand, ipa_visemes, mouth_track


@dataclass(frozen=True)
class Source:
    """One speaker. `engine` is espeak, flite or festival; `voice` its name there."""

    name: str
    engine: str
    voice: str
    letters: str = "english"
    clips: int = 70
    role: str = "train"  # "held" is never trained on and never chosen by; "unused" is only synthesised


@dataclass(frozen=True)
class Clip:
    wave: np.ndarray  # [L] float32
    visemes: list[Phone]

    @property
    def seconds(self) -> float:
        return len(self.wave) / RATE_HZ


RECORDED = [
    Source("flite-slt", "flite", "slt"),
    Source("flite-awb", "flite", "awb"),
    Source("flite-kal16", "flite", "kal16"),
    Source("flite-rms", "flite", "rms", clips=24, role="held"),
    Source("festival-kal", "festival", "kal_diphone", clips=50),
    Source("festival-ked", "festival", "ked_diphone", clips=24, role="held"),
    Source("festival-slt-hts", "festival", "cmu_us_slt_arctic_hts", clips=60),
    Source("festival-italian-lp", "festival", "lp_diphone", "italian"),
    Source("festival-italian-pc", "festival", "pc_diphone", "italian"),
    Source("festival-catalan-ona", "festival", "upc_ca_ona_hts", "catalan"),
    Source("festival-czech-dita", "festival", "czech_dita", "czech"),
    Source("festival-czech-krb", "festival", "czech_krb", "czech"),
    Source("festival-czech-machac", "festival", "czech_machac", "czech"),
    Source("festival-czech-ph", "festival", "czech_ph", "czech"),
    Source("festival-finnish-lj", "festival", "suo_fi_lj_diphone", "finnish"),
    Source("festival-finnish-mv", "festival", "hy_fi_mv_diphone", "finnish"),
    Source("festival-russian-nsh", "festival", "msu_ru_nsh_clunits", "russian"),
]
_ESPEAK_BASE = ["en-us", "en", "en-GB-scotland", "English (Lancaster)", "English (Received Pronunciation)"]
_ESPEAK_VARIANTS = ["", "+m1", "+m3", "+m5", "+m7", "+f1", "+f2", "+f3", "+f4", "+klatt", "+klatt3", "+croak", "+whisper"]
_ESPEAK_LANGUAGES = ["de", "fr", "es", "it", "pt", "nl", "sv", "nb", "da", "fi", "pl", "cs", "hu", "tr", "ro", "el"]
ESPEAK = (
    [Source("espeak-" + re.sub(r"\W+", "-", b + v), "espeak", b + v, clips=5) for b in _ESPEAK_BASE[:3] for v in _ESPEAK_VARIANTS]
    + [Source("espeak-" + v, "espeak", v, "digits", clips=4) for v in _ESPEAK_LANGUAGES]
    + [Source("espeak-seen", "espeak", "en-us", clips=12, role="held")]  # a seen voice, unseen sentences
)
SOURCES = RECORDED + ESPEAK
_MAPS = {"english": ENGLISH, "italian": ROMANCE, "catalan": ROMANCE, "czech": CZECH, "finnish": FINNISH, "russian": RUSSIAN}


def _to_clip(wave: np.ndarray, rate_hz: int, visemes: list[Phone], rng: random.Random) -> Clip:
    """Resample to 16 kHz, peak 0.5, and put silence around."""
    x = wave.astype(np.float32)
    if rate_hz != RATE_HZ:
        divisor = np.gcd(rate_hz, RATE_HZ)
        x = resample_poly(x, RATE_HZ // divisor, rate_hz // divisor).astype(np.float32)
    x *= 0.5 / max(1e-6, float(np.abs(x).max()))
    lead, tail = round(rng.uniform(0.3, 1.0) * RATE_HZ), round(0.6 * RATE_HZ)
    shift = lead / RATE_HZ
    moved = [("sil", 0.0, shift)] + [(v, a + shift, b + shift) for v, a, b in visemes if b > a]
    seconds = (lead + len(x) + tail) / RATE_HZ
    moved.append(("sil", moved[-1][2], seconds))
    return Clip(np.pad(x, (lead, tail)), moved)


class _EspeakEvent(ctypes.Structure):
    class _Id(ctypes.Union):
        _fields_: ClassVar = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]

    _fields_: ClassVar = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position_ms", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    ]


class Espeak:
    """libespeak-ng in synchronous mode with phoneme events. One instance a process."""

    _SYNCHRONOUS, _PHONEME_EVENTS, _IPA = 2, 1, 2
    _END_EVENTS, _PHONEME = (5, 6), 7

    def __init__(self) -> None:
        self._lib = ctypes.CDLL("libespeak-ng.so.1")
        self.rate_hz = self._lib.espeak_Initialize(self._SYNCHRONOUS, 0, None, self._PHONEME_EVENTS | self._IPA)
        callback_type = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_EspeakEvent))
        self._callback = callback_type(self._receive)
        self._lib.espeak_SetSynthCallback(self._callback)
        self._pcm: list[np.ndarray] = []
        self._marks: list[tuple[float, str]] = []

    def _receive(self, pcm, count: int, events) -> int:
        if pcm and count > 0:
            self._pcm.append(np.ctypeslib.as_array(pcm, (count,)).copy())
        i = 0
        while events[i].type != 0:
            event = events[i]
            if event.type == self._PHONEME:
                raw = ctypes.string_at(ctypes.addressof(event) + _EspeakEvent.id.offset, 8).split(b"\0")[0]
                self._marks.append((event.audio_position_ms / 1000, raw.decode("utf-8", "ignore")))
            elif event.type in self._END_EVENTS:
                self._marks.append((event.audio_position_ms / 1000, "|"))
            i += 1
        return 0

    def say(self, voice: str, words: str, rate_wpm: int, pitch: int) -> tuple[np.ndarray, list[Phone]]:
        """-> samples [L] int16 at `rate_hz`, visemes."""
        self._pcm, self._marks = [], []
        if self._lib.espeak_SetVoiceByName(voice.encode()) != 0:
            raise ValueError(f"espeak-ng has no voice {voice!r}")
        self._lib.espeak_SetParameter(1, rate_wpm, 0)
        self._lib.espeak_SetParameter(3, pitch, 0)
        data = words.encode() + b"\0"
        self._lib.espeak_Synth(data, len(data), 0, 1, 0, 1, None, None)
        wave = np.concatenate(self._pcm)
        end = len(wave) / self.rate_hz
        times = [t for t, _ in self._marks[1:]] + [end]
        visemes: list[Phone] = [("sil", 0.0, self._marks[0][0])]
        for (start, sign), stop in zip(self._marks, times, strict=True):
            label = "sil" if sign in ("|", "_:", "_", "") else ipa_visemes(sign)
            names = label.split()
            if not names:
                visemes[-1] = (visemes[-1][0], visemes[-1][1], stop)
            elif len(names) == 1:
                visemes.append((names[0], start, stop))
            else:
                middle = start + 0.55 * (stop - start)
                visemes += [(names[0], start, middle), (names[1], middle, stop)]
        return wave, visemes


def _espeak_clips(source: Source, rng: random.Random, espeak: Espeak) -> list[Clip]:
    clips = []
    for _ in range(source.clips):
        words = text.digits(rng) if source.letters == "digits" else text.english(rng)
        wave, visemes = espeak.say(source.voice, words, rng.randint(120, 210), rng.randint(30, 70))
        clips.append(_to_clip(wave, espeak.rate_hz, visemes, rng))
    return clips


def _flite_clips(source: Source, rng: random.Random, folder: Path) -> list[Clip]:
    clips = []
    base_hz = {"slt": 170, "awb": 115, "kal16": 100, "rms": 95}[source.voice]
    for _ in range(source.clips):
        path = folder / f"{source.name}.wav"
        command = ["flite", "-voice", source.voice, "--setf", f"duration_stretch={rng.uniform(0.85, 1.3):.3f}",
                   "--setf", f"int_f0_target_mean={base_hz * rng.uniform(0.85, 1.2):.0f}", "-psdur",
                   "-t", text.english(rng), "-o", str(path)]  # fmt: skip
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        phones: list[Phone] = []
        base = last = 0.0
        for label, end_text in re.findall(r"(\S+):([\d.]+)", printed):
            end = float(end_text)
            if base + end < last:  # the clock restarts at each utterance
                base = last
            phones.append((label, last, base + end))
            last = base + end
        rate, wave = wavfile.read(path)
        clips.append(_to_clip(wave, rate, expand(phones, ENGLISH), rng))
        path.unlink()
    return clips


def _festival_clips(source: Source, rng: random.Random, folder: Path) -> list[Clip]:
    """One Festival process says everything; `utt.save.segs` gives each segment's END time."""
    script = [f"(voice_{source.voice})"]
    encoding = {"russian": "utf-8"}.get(source.letters, "latin-1")
    for i in range(source.clips):
        words = text.english(rng) if source.letters == "english" else text.invented(rng, source.letters)
        stem = folder / f"{source.name}-{i}"
        script += [
            f"(Param.set 'Duration_Stretch {rng.uniform(0.85, 1.3):.3f})",
            f'(set! u (utt.synth (Utterance Text "{words}")))',
            f'(utt.save.wave u "{stem}.wav" \'riff)',
            f'(utt.save.segs u "{stem}.segs")',
        ]
    path = folder / f"{source.name}.scm"
    path.write_bytes("\n".join(script).encode(encoding))
    subprocess.run(["festival", "-b", str(path)], check=True, capture_output=True, timeout=900)
    clips = []
    for i in range(source.clips):
        stem = folder / f"{source.name}-{i}"
        rate, wave = wavfile.read(f"{stem}.wav")
        phones, last = [], 0.0
        for line in Path(f"{stem}.segs").read_text(encoding="latin-1").splitlines():
            fields = line.split()
            if len(fields) == 3:
                phones.append((fields[2], last, float(fields[0])))
                last = float(fields[0])
        clips.append(_to_clip(wave, rate, expand(phones, _MAPS[source.letters]), rng))
        for end in (".wav", ".segs"):
            Path(f"{stem}{end}").unlink()
    path.unlink()
    return clips


CLOCK_LIMIT_MS = 40  # one video frame


def clock_lag_ms(clips: list[Clip]) -> float:
    """By how much the labels are late (+) against the sound: best lag of jaw against log energy, 5 ms steps."""
    lags = np.arange(-24, 25)
    score = np.zeros(len(lags))
    for clip in clips[:16]:
        energy = np.log(1e-4 + np.sqrt(np.convolve(clip.wave**2, np.ones(320) / 320, mode="same")[::80]))
        jaw = mouth_track(clip.visemes, clip.seconds)[:, JAW]
        fine = np.interp(np.arange(len(energy)) * 0.005, (np.arange(len(jaw)) + 0.5) / 25, jaw)
        for k, lag in enumerate(lags):
            score[k] += np.corrcoef(np.roll(fine, -lag)[30:-30], energy[30:-30])[0, 1]
    return float(lags[int(score.argmax())] * 5)


def save(path: Path, clips: list[Clip]) -> None:
    arrays: dict[str, np.ndarray] = {}
    for i, clip in enumerate(clips):
        arrays[f"wave{i}"] = np.round(clip.wave * 32767).astype(np.int16)
        arrays[f"label{i}"] = np.array([v for v, _, _ in clip.visemes])
        arrays[f"time{i}"] = np.array([[a, b] for _, a, b in clip.visemes])
    np.savez(path, **arrays)


def load(path: Path) -> list[Clip]:
    with np.load(path) as data:
        return [
            Clip(
                data[f"wave{i}"].astype(np.float32) / 32767,
                [(str(v), float(a), float(b)) for v, (a, b) in zip(data[f"label{i}"], data[f"time{i}"], strict=True)],
            )
            for i in range(len(data.files) // 3)
        ]


def make_all(folder: Path, log=print) -> None:
    """Every source's clips into `folder`/NAME.npz; sources already there are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    espeak = Espeak()
    for source in SOURCES:
        path = folder / f"{source.name}.npz"
        if path.exists():
            continue
        rng = random.Random(zlib.crc32(source.name.encode()))
        if source.engine == "espeak":
            clips = _espeak_clips(source, rng, espeak)
        elif source.engine == "flite":
            clips = _flite_clips(source, rng, folder)
        else:
            clips = _festival_clips(source, rng, folder)
        lag = clock_lag_ms(clips)
        log(f"speech: {source.name}: {len(clips)} clips, {sum(c.seconds for c in clips):.0f} s, clock {lag:+.0f} ms")
        if abs(lag) > CLOCK_LIMIT_MS:
            log(f"speech: {source.name}: its clock is off by more than {CLOCK_LIMIT_MS} ms; left out")
            clips = []
        save(path, clips)
