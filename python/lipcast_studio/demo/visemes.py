"""From timed phones to the seven mouth values, the truth that everything here is trained and measured on.

A phone is (label, start_s, end_s). Labels of every source are mapped to visemes; each viseme has a target
for jaw, wide, round, press (m b p), tuck (f v), tongue and teeth (closed rows), each 0..1. Neighbouring
visemes blend by weight and distance in time (coarticulation).
"""

from __future__ import annotations

import numpy as np

VALUES = ("jaw", "wide", "round", "press", "tuck", "tongue", "teeth")
JAW, WIDE, ROUND, PRESS, TUCK, TONGUE, TEETH = range(7)

Phone = tuple[str, float, float]

#                jaw  wide rnd  press tuck tongue teeth
TARGETS: dict[str, tuple[float, ...]] = {
    "sil": (0.00, 0.00, 0.00, 0.0, 0.0, 0.0, 0.0),
    "a": (0.95, 0.10, 0.00, 0.0, 0.0, 0.0, 0.0),
    "ae": (0.85, 0.50, 0.00, 0.0, 0.0, 0.0, 0.0),
    "uh": (0.62, 0.05, 0.00, 0.0, 0.0, 0.0, 0.0),
    "o": (0.70, 0.00, 0.55, 0.0, 0.0, 0.0, 0.0),
    "e": (0.58, 0.45, 0.00, 0.0, 0.0, 0.0, 0.0),
    "er": (0.40, 0.00, 0.35, 0.0, 0.0, 0.0, 0.0),
    "ih": (0.34, 0.45, 0.00, 0.0, 0.0, 0.0, 0.0),
    "i": (0.25, 0.85, 0.00, 0.0, 0.0, 0.0, 0.0),
    "ou": (0.50, 0.00, 0.75, 0.0, 0.0, 0.0, 0.0),
    "ux": (0.32, 0.00, 0.65, 0.0, 0.0, 0.0, 0.0),
    "u": (0.20, 0.00, 1.00, 0.0, 0.0, 0.0, 0.0),
    "y": (0.22, 0.00, 0.95, 0.0, 0.0, 0.0, 0.0),
    "oe": (0.45, 0.00, 0.70, 0.0, 0.0, 0.0, 0.0),
    "schwa": (0.35, 0.10, 0.00, 0.0, 0.0, 0.0, 0.0),
    "pbm": (0.00, 0.00, 0.00, 1.0, 0.0, 0.0, 0.0),
    "fv": (0.12, 0.10, 0.00, 0.0, 1.0, 0.0, 0.0),
    "th": (0.25, 0.15, 0.00, 0.0, 0.0, 0.9, 0.1),
    "tdn": (0.20, 0.20, 0.00, 0.0, 0.0, 0.5, 0.2),
    "l": (0.34, 0.15, 0.00, 0.0, 0.0, 0.8, 0.0),
    "sz": (0.17, 0.40, 0.00, 0.0, 0.0, 0.0, 0.9),
    "sh": (0.20, 0.00, 0.60, 0.0, 0.0, 0.0, 0.8),
    "kg": (0.30, 0.10, 0.00, 0.0, 0.0, 0.0, 0.0),
    "h": (0.35, 0.00, 0.00, 0.0, 0.0, 0.0, 0.0),
    "r": (0.25, 0.00, 0.50, 0.0, 0.0, 0.0, 0.0),
    "w": (0.14, 0.00, 1.00, 0.0, 0.0, 0.0, 0.0),
    "j": (0.22, 0.60, 0.00, 0.0, 0.0, 0.0, 0.0),
}
VISEMES = tuple(TARGETS)
_WEIGHT = {
    "pbm": 4.0,
    "fv": 3.0,
    "a": 2.0,
    "ae": 2.0,
    "i": 1.7,
    "u": 2.0,
    "w": 1.8,
    "o": 1.6,
    "ou": 1.6,
    "e": 1.4,
    "sz": 1.3,
    "sh": 1.5,
    "th": 1.2,
    "kg": 0.4,
    "h": 0.1,
    "schwa": 0.6,
    "sil": 1.0,
}
_TAU_BEFORE_S = np.array([0.045, 0.060, 0.100, 0.024, 0.024, 0.040, 0.035])
_TAU_AFTER_S = np.array([0.055, 0.060, 0.070, 0.027, 0.027, 0.045, 0.035])
_GRID_HZ = 200
_SMOOTH_S = 0.012

# English phones as Festival, flite and the CMU dictionary write them.
ENGLISH = {
    "aa": "a", "ae": "ae", "ah": "uh", "ao": "o", "aw": "a ux", "ax": "schwa", "axr": "er", "ay": "a ih", "eh": "e",
    "er": "er", "ey": "e i", "ih": "ih", "ix": "ih", "iy": "i", "ow": "ou ux", "oy": "o ih", "uh": "ux", "uw": "u",
    "b": "pbm", "p": "pbm", "m": "pbm", "em": "pbm", "f": "fv", "v": "fv", "th": "th", "dh": "th", "t": "tdn",
    "d": "tdn", "n": "tdn", "en": "tdn", "dx": "tdn", "nx": "tdn", "l": "l", "el": "l", "s": "sz", "z": "sz",
    "sh": "sh", "zh": "sh", "ch": "sh", "jh": "sh", "k": "kg", "g": "kg", "ng": "kg", "hh": "h", "hv": "h",
    "r": "r", "w": "w", "y": "j", "pau": "sil", "#": "sil", "h#": "sil", "brth": "sil", "sil": "sil", "ssil": "sil",
}  # fmt: skip

# One sign of the phonetic alphabet each; signs that are missing belong to their neighbour.
_IPA = {
    "a": "a", "ɑ": "a", "ɐ": "uh", "ʌ": "uh", "ɒ": "o", "ɔ": "o", "æ": "ae", "ɛ": "e", "e": "e", "ə": "schwa",
    "ɚ": "er", "ɜ": "er", "ɝ": "er", "ɪ": "ih", "i": "i", "ɨ": "ih", "o": "ou", "ʊ": "ux", "u": "u", "ɯ": "ih",
    "ɤ": "uh", "ʉ": "u", "y": "y", "ʏ": "y", "ø": "oe", "œ": "oe", "ᵻ": "ih", "ɵ": "oe", "ɘ": "schwa",
    "p": "pbm", "b": "pbm", "m": "pbm", "ɓ": "pbm", "f": "fv", "v": "fv", "ʋ": "fv", "ɱ": "fv", "β": "fv", "ɸ": "fv",
    "θ": "th", "ð": "th", "t": "tdn", "d": "tdn", "n": "tdn", "ɾ": "tdn", "r": "tdn", "ʈ": "tdn", "ɖ": "tdn",
    "ɳ": "tdn", "ɲ": "tdn", "c": "tdn", "ɟ": "tdn", "l": "l", "ɫ": "l", "ʎ": "l", "ɭ": "l", "ɬ": "l", "s": "sz",
    "z": "sz", "ʃ": "sh", "ʒ": "sh", "ɕ": "sh", "ʑ": "sh", "ʂ": "sh", "ʐ": "sh", "k": "kg", "ɡ": "kg", "g": "kg",
    "ŋ": "kg", "x": "kg", "ɣ": "kg", "χ": "kg", "q": "kg", "h": "h", "ɦ": "h", "ç": "j", "ɹ": "r", "ɻ": "r", "ʁ": "kg",
    "ʀ": "kg", "w": "w", "ʍ": "w", "ɥ": "y", "j": "j", "ʝ": "j", "ʔ": "", "ħ": "h", "ʕ": "h", "ɴ": "kg", "ɽ": "tdn",
    "ɺ": "tdn", "ʑ̩": "sh",
}  # fmt: skip
_VOWELS = {"a", "ae", "uh", "o", "e", "er", "ih", "i", "ou", "ux", "u", "y", "oe", "schwa"}


def ipa_visemes(text: str) -> str:
    """One espeak phoneme in IPA -> one or two viseme names ("" when it belongs to its neighbour)."""
    found = [v for v in (_IPA.get(c, "") for c in text) if v]
    if len(found) >= 2 and found[0] not in _VOWELS:
        found = found[1:2] if found[1] in ("sz", "sh") else found[:1]  # an affricate keeps its fricative
    return " ".join(found[:2])


def expand(phones: list[Phone], mapping: dict[str, str]) -> list[Phone]:
    """Source labels -> visemes; a diphthong becomes two parts of 55 and 45 percent. Unknown labels raise."""
    out: list[Phone] = []
    for label, start, end in phones:
        names = mapping[label].split()
        if not names:  # part of the phone before it
            if out:
                out[-1] = (out[-1][0], out[-1][1], end)
        elif len(names) == 1:
            out.append((names[0], start, end))
        else:
            middle = start + 0.55 * (end - start)
            out += [(names[0], start, middle), (names[1], middle, end)]
    return out


def mouth_track(visemes: list[Phone], seconds: float) -> np.ndarray:
    """Timed visemes -> the values of every video frame, [ceil(seconds * 25), 7] float32, frame i at (i + .5) / 25 s."""
    frames = int(np.ceil(seconds * 25 - 1e-9))
    steps = frames * _GRID_HZ // 25
    times = (np.arange(steps) + 0.5) / _GRID_HZ
    weighted, weights = np.zeros((steps, 7)), np.full((steps, 7), 1e-9)
    for label, start, end in visemes:
        weight = _WEIGHT.get(label, 1.0) * min(1.0, 0.25 + (end - start) / 0.080)
        low, high = np.searchsorted(times, [start - 0.6, end + 0.6])
        t = times[low:high, None]
        away = np.maximum(0.0, start - t) / _TAU_BEFORE_S + np.maximum(0.0, t - end) / _TAU_AFTER_S
        near = weight * np.exp(-(away**1.3))
        weighted[low:high] += near * TARGETS[label]
        weights[low:high] += near
    values = weighted / weights
    reach = int(4 * _SMOOTH_S * _GRID_HZ)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / (_SMOOTH_S * _GRID_HZ)) ** 2)
    kernel /= kernel.sum()
    padded = np.pad(values, ((reach, reach), (0, 0)), mode="edge")
    smooth = np.stack([np.convolve(padded[:, k], kernel, mode="valid") for k in range(7)], axis=1)
    at = (np.arange(frames) + 0.5) / 25 * _GRID_HZ - 0.5
    grid = np.arange(steps)
    return np.stack([np.interp(at, grid, smooth[:, k]) for k in range(7)], axis=1).astype(np.float32)


def viseme_track(visemes: list[Phone], seconds: float, rate_hz: float, offset_s: float) -> np.ndarray:
    """Index into VISEMES at times i / rate_hz + offset_s, for as many i as fit in `seconds`."""
    starts = np.array([p[1] for p in visemes])
    ends = np.array([p[2] for p in visemes])
    labels = np.array([VISEMES.index(p[0]) for p in visemes])
    times = np.arange(int(np.ceil(seconds * rate_hz - 1e-9))) / rate_hz + offset_s
    at = np.clip(np.searchsorted(starts, times, side="right") - 1, 0, len(labels) - 1)
    inside = (times >= starts[at]) & (times < ends[at])
    return np.where(inside, labels[at], 0).astype(np.int64)


# The other languages' Festival voices, in their own letters.
_ROMANCE = {
    "a": "a", "e": "e", "i": "i", "o": "ou", "u": "u", "E": "e", "O": "o", "ax": "schwa", "j": "j", "w": "w",
    "p": "pbm", "b": "pbm", "m": "pbm", "f": "fv", "v": "fv", "nf": "fv", "t": "tdn", "d": "tdn", "n": "tdn",
    "J": "tdn", "r": "tdn", "rr": "tdn", "l": "l", "L": "l", "s": "sz", "z": "sz", "ts": "sz", "dz": "sz", "S": "sh",
    "Z": "sh", "tS": "sh", "dZ": "sh", "k": "kg", "g": "kg", "ng": "kg", "pau": "sil", "#": "sil", "_": "",
}  # fmt: skip
ROMANCE = _ROMANCE | {f"{v}1": _ROMANCE[v] for v in "aeiouEO"}
_CZECH = {
    "a": "a", "e": "e", "i": "i", "o": "o", "u": "u", "b": "pbm", "p": "pbm", "m": "pbm", "f": "fv", "v": "fv",
    "t": "tdn", "d": "tdn", "n": "tdn", "t~": "tdn", "d~": "tdn", "n~": "tdn", "r": "tdn", "l": "l", "s": "sz",
    "z": "sz", "c": "sz", "dz": "sz", "s~": "sh", "z~": "sh", "c~": "sh", "dz~": "sh", "r~": "sh", "r~*": "sh",
    "k": "kg", "g": "kg", "n*": "kg", "ch": "kg", "h": "h", "j": "j", "#": "sil", "_": "",
}  # fmt: skip
CZECH = _CZECH | {f"{v}:": _CZECH[v] for v in "aeiou"}
_FINNISH = {
    "a": "a", "e": "e", "i": "i", "o": "o", "u": "u", "y": "y", "@": "ae", "7": "oe", "&": "schwa", "p": "pbm",
    "b": "pbm", "m": "pbm", "f": "fv", "v": "fv", "t": "tdn", "d": "tdn", "n": "tdn", "r": "tdn", "T": "th", "D": "th",
    "l": "l", "L": "l", "s": "sz", "z": "sz", "S": "sh", "Z": "sh", "k": "kg", "g": "kg", "N": "kg", "h": "h",
    "j": "j", "w": "w",
}  # fmt: skip
FINNISH = _FINNISH | {f"{k}:": v for k, v in _FINNISH.items()} | {"#": "sil", "##": "sil"}
_RUSSIAN = {
    "i": "ih", "y": "ih", "u": "ux", "e": "ih", "a": "uh", "ae": "e", "ay": "schwa", "ur": "ux", "ii": "i", "yy": "ih",
    "uu": "u", "ee": "e", "oo": "o", "aa": "a", "p": "pbm", "b": "pbm", "m": "pbm", "f": "fv", "v": "fv", "t": "tdn",
    "d": "tdn", "n": "tdn", "r": "tdn", "l": "l", "s": "sz", "z": "sz", "c": "sz", "sh": "sh", "sch": "sh", "zh": "sh",
    "ch": "sh", "k": "kg", "g": "kg", "h": "kg", "j": "j", "pau": "sil", "#": "sil",
}  # fmt: skip
RUSSIAN = _RUSSIAN | {2 * c: _RUSSIAN[c] for c in "pbmfvtdnrlszkgh"}
