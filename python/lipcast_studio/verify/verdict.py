"""The measures of an avatar, each with its limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..demo import measure
from ..engine import Bgr
from ..training import agreement
from . import flicker
from .speak import Layout, Silence, Spoken

FLICKER_LEVELS = 4.0  # two levels up and down show on skin; still avatars have 0.4, a source that talks itself 2.2


@dataclass(frozen=True)
class Measure:
    """found: the value; at_most or at_least: its limit (neither: only told). about: in words."""

    name: str
    found: float
    unit: str
    about: str
    at_most: float | None = None
    at_least: float | None = None

    @property
    def passed(self) -> bool:
        """Within its limits; NaN is not."""
        low = self.at_least is None or self.found >= self.at_least
        return bool(low and (self.at_most is None or self.found <= self.at_most))

    @property
    def limit(self) -> str:
        """In words."""
        if self.at_most is not None:
            return f"at most {self.at_most:g}"
        return f"at least {self.at_least:g}" if self.at_least is not None else ""


def _silent_opening(silence: Silence, spoken: Sequence[Spoken], layout: Layout) -> float:
    """Where the dark between the lips lies in silence, as a share of its range: 0 closed, 1 wide open in speech.

    Closed is the least of speech and of the avatar's own frames: a mouth that never closes has none in speech.
    """

    def dark(pictures: Sequence[Bgr]) -> list[int]:
        return [measure.dark_area(inner[layout.window], silence.skin) for inner in pictures]

    speech = np.concatenate([one.dark for one in spoken])
    low, high = np.percentile(speech, [5, 95])
    if silence.source:
        low = min(low, np.percentile(dark(silence.source), 5))
    quiet = float(max(dark(silence.drawn)))
    return max(0.0, (quiet - low) / (high - low)) if high > low else 1.0


def measures(layout: Layout, silence: Silence, spoken: Sequence[Spoken]) -> list[Measure]:
    """All of them, in the order they are told."""
    truth = spoken[0].clip.area_px is not None
    lost = sum(abs(len(one.opening) - one.expected) for one in spoken)
    lag = agreement.common_lag([(one.opening, one.wanted) for one in spoken])
    together = [np.concatenate([getattr(one, name) for one in spoken]) for name in ("opening", "wanted")]
    r = agreement.correlation(*together) if truth else float(np.mean([one.r for one in spoken]))
    what = "the true opening of its truth clips" if truth else "the loudness of the sound"
    found = [
        Measure("frames lost", lost, "", f"of {sum(one.expected for one in spoken)} that the sounds need", at_most=0),
        Measure("offset", abs(lag), "frames", f"the mouth is {_late(lag)} against {what}", at_most=1),
        Measure("mouth follows", r, "", f"correlation r of the opening with {what}", at_least=0.7 if truth else 0.35),
    ]
    if truth:
        press = np.concatenate([one.clip.press for one in spoken if one.clip.press is not None])
        closed = measure.closed_share(together[0], press)
        about = "share of the frames of m, b and p in which the lips are shut"
        found.append(Measure("lips shut on m b p", closed, "", about, at_least=0.7))
        widest = float(max(measure.opening_area(inner) for inner in silence.drawn))
        about = "the widest the network draws in silence, in pixels between the lips at 160 px"
        found.append(Measure("silence closed", widest, "px", about, at_most=measure.CLOSED_AREA_PX))
    else:
        about = "darkest between the lips in silence: 0 the least in speech and own frames, 1 the most in speech"
        found.append(Measure("silence closed", _silent_opening(silence, spoken, layout), "", about, at_most=0.25))
    about = "frames of silence that users see redrawn: they are the avatar's own"
    found.append(Measure("silence redrawn", silence.shown_generated, "frames", about, at_most=0))
    unrest = flicker.added(silence.drawn, silence.source, flicker.mask_part(layout.generator))
    about = "largest change in any small window in silence, beyond the source's own; 95 of 100 frames are below"
    found.append(Measure("flicker", unrest, "levels", about, at_most=FLICKER_LEVELS))
    shown = float(np.percentile(np.concatenate([one.seam for one in spoken]), 95))
    about = "step at the redrawn part's edge beyond the source picture's; 95 of 100 frames are below"
    found.append(Measure("seam", max(0.0, shown), "levels", about, at_most=2.0))
    return found


def _late(lag: int) -> str:
    return "in time" if lag == 0 else f"{abs(lag)} frame{'s' if abs(lag) > 1 else ''} {'late' if lag > 0 else 'early'}"
