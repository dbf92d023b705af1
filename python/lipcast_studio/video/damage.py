"""Where a recording's picture or sound is damaged: what the decoder complains of, told in frames and times.

Its complaints stand between the packets that it reads, so each has the time of one. What follows a damaged picture is
drawn from it, so the damage lasts until the next key frame; each packet of sound is one of its own.
"""

from __future__ import annotations

import math
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..errors import StudioError
from .ffmpeg import first_line, program, source
from .probe import Facts

FPS = 25
_SHOWN_RUNS = 6
_GAP_S = 0.25
_JUMP_S = 10.0  # of a transport stream's clock: ffmpeg closes it up, for picture and sound on their own
_PAST_ANY_HOLE = ["-resync_size", "2000000000"]

Run = tuple[int, int]
Span = tuple[float, float]


@dataclass(frozen=True)
class Damage:
    """Of one stream, in seconds from the file's beginning. spans: (from, to) of what is damaged; an open end is inf.

    gaps: where no packet is for long, as damage leaves it, but also a varying rate or a pause. complaint: the first.
    """

    spans: list[Span]
    gaps: list[Span]
    end_s: float
    complaint: str = ""


def times(first: int, last: int) -> str:
    """frames 25-49 (1.00-2.00 s)."""
    return f"frames {first}-{last} ({first / FPS:.2f}-{(last + 1) / FPS:.2f} s)"


def listed(found: list[Run]) -> str:
    """The longest of the runs, in their order."""
    longest = sorted(sorted(found, key=lambda run: run[0] - run[1])[:_SHOWN_RUNS])
    more = len(found) - len(longest)
    return ", ".join(times(*run) for run in longest) + (f" and {more} shorter" if more else "")


def _meet(one: Span, others: list[Span]) -> bool:
    return any(begins <= one[1] and one[0] <= ends for begins, ends in others)


def lost_parts(one: Damage, other: Damage) -> list[Span]:
    """The spans of `one`, and its gaps where the other stream is damaged or has one, too: there the file lost a part."""
    return one.spans + [gap for gap in one.gaps if _meet(gap, one.spans + other.spans + other.gaps)]


def frames_of(spans: list[Span], frames: int) -> list[Run]:
    """Runs (first, last) of the `frames` frames, at 25 a second, that lie in the spans."""
    hit = [False] * frames
    for begins, ends in spans:
        for i in range(max(0, round(begins * FPS)), frames if math.isinf(ends) else min(frames, round(ends * FPS))):
            hit[i] = True
    edges = [i for i in range(frames + 1) if (i < frames and hit[i]) != (i > 0 and hit[i - 1])]
    return [(first, after - 1) for first, after in zip(edges[::2], edges[1::2], strict=True)]


class _Walk:
    """Follows ffprobe's lines: packets in the order of decoding, complaints behind the one that they are about."""

    def __init__(self, jump_s: float) -> None:
        self._jump_s = jump_s
        self.spans: list[Span] = []
        self.gaps: list[Span] = []
        self.complaint = ""
        self.end_s = self._time = self._before = -math.inf
        self._broken = math.inf

    def packet(self, time_s: float | None, lasts_s: float, key: bool) -> None:
        self._before = max(self._before, self._time)
        self._time = self._time if time_s is None else time_s
        if math.isfinite(self.end_s):
            self._gap(self._time)
        self.end_s = max(self.end_s, self._time + lasts_s)
        if key and time_s is not None:
            self.close(time_s)
        elif self._broken < math.inf:
            self._broken = min(self._broken, self._time)

    def _gap(self, time_s: float) -> None:
        if abs(time_s - self.end_s) > self._jump_s:
            self.spans.append((self.end_s, math.inf))
            self._jump_s = math.inf  # one is enough
            self.complaint = self.complaint or f"the clock jumps by {time_s - self.end_s:.1f} s: nothing after it is of use"
        elif time_s - self.end_s > _GAP_S:
            self.gaps.append((self.end_s, time_s))

    def complain(self, line: str) -> None:
        self.complaint = self.complaint or first_line(line)
        if not math.isfinite(self._time):
            return  # before the first packet: of the file's head, and nothing is shown yet
        lost = self._before + 1 / FPS if math.isfinite(self._before) else self._time  # packets before it may be gone
        self._broken = min(self._broken, self._time, lost)

    def close(self, time_s: float) -> None:
        if self._broken < math.inf:
            self.spans.append((self._broken, time_s))
        self._broken = math.inf


def _fields(line: str) -> dict[str, str]:
    return dict(field.split("=", 1) for field in line.split("|")[1:] if "=" in field)


def _seconds(text: str | None) -> float | None:
    try:
        return float(text or "")
    except ValueError:  # N/A
        return None


def _walked(lines: Iterable[str], walk: _Walk) -> _Walk:
    for line in lines:
        if line.startswith("packet|"):
            told = _fields(line)
            lasts_s = _seconds(told.get("duration_time")) or 0.0
            walk.packet(_seconds(told.get("pts_time")), lasts_s, told.get("flags", "").startswith("K"))
        elif line.startswith("[") and not line.startswith("[NULL "):  # NULL: of the next packet, and told again there
            walk.complain(line)
    walk.close(math.inf)
    return walk


def damage_of(path: Path, stream: str, facts: Facts, longest_s: float) -> Damage:
    """Decodes one stream of the file ("0", "a:0"), longest_s of it at most.

    On one thread, so that the decoder's complaints stand in their places. StudioError where ffprobe is ended.
    """
    command = [program("ffprobe"), "-v", "repeat+error", "-threads", "1", "-select_streams", stream, "-show_packets",
               "-show_frames", "-read_intervals", f"%+{longest_s:g}", "-of", "compact", "-show_entries",
               "packet=pts_time,duration_time,flags:frame=key_frame",
               *(_PAST_ANY_HOLE if facts.transport_stream else ()), source(path)]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace") as asked:
        assert asked.stdout is not None
        walk = _walked(asked.stdout, _Walk(_JUMP_S if facts.transport_stream else math.inf))
    if asked.returncode < 0:
        raise StudioError(f"{path}: looking for damage ended early (ffprobe: {asked.returncode})")
    start_s = facts.start_s
    spans, gaps = ([(begins - start_s, ends - start_s) for begins, ends in found] for found in (walk.spans, walk.gaps))
    return Damage(spans, gaps, max(0.0, walk.end_s - start_s), walk.complaint)


def unreadable_tail(path: Path) -> int:
    """Bytes at the end of a transport stream in which no packet begins or ends."""
    command = [program("ffprobe"), "-v", "error", "-show_entries", "packet=pos,size", "-of", "compact", *_PAST_ANY_HOLE,
               source(path)]  # fmt: skip
    asked = subprocess.run(command, capture_output=True, text=True, errors="replace")
    packets = [_fields(line) for line in asked.stdout.splitlines() if line.startswith("packet|")]
    ends = [int(p["pos"]) + int(p["size"]) for p in packets if p.get("pos", "").isdigit() and p.get("size", "").isdigit()]
    return max(0, path.stat().st_size - max(ends, default=0))
