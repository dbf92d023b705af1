"""Any recording -> upright frames of square pixels at 25 a second, BT.709, and mono sound at 16 kHz that begins with them."""

from __future__ import annotations

import errno
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import EXIT_OUTPUT, StudioError
from .damage import FPS, Damage, Run, Span, damage_of, frames_of, listed, lost_parts, unreadable_tail
from .ffmpeg import first_line, h264, program, source
from .probe import HDR, Facts, probe

RATE_HZ = 16_000
LARGEST_SIDE_PX = 1920
SHORTEST_S, LONGEST_S = 10.0, 600.0
COARSE_RATE = 20


@dataclass(frozen=True)
class Recording:
    """A normalised recording: the video file, its size and frame count, what was changed on the way, and the runs
    (first, last) of frames whose picture or sound is damaged in the source."""

    video: Path
    width: int
    height: int
    frames: int
    notes: list[str]
    damaged: list[Run] = field(default_factory=list)


def target_size(facts: Facts) -> tuple[int, int]:
    """Upright, even, and at most 1920 pixels on the longer side."""
    width, height = facts.upright
    scale = min(1.0, LARGEST_SIDE_PX / max(width, height))
    return max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)


def check(path: Path, facts: Facts, shortest_s: float) -> list[str]:
    """StudioError for what no avatar can be made of; notes on what will be changed."""
    if facts.transfer in HDR:
        raise StudioError(
            f"{path}: {HDR[facts.transfer]} colours, want SDR: record in SDR, or convert it first"
            " (ffmpeg -i IN -vf zscale=t=linear,tonemap=hable,zscale=p=bt709:t=bt709:m=bt709:r=tv,format=yuv420p OUT)"
        )
    if facts.sounds == 0:
        raise StudioError(f"{path}: no audio track, want the person's speech with the picture")
    if 0 < facts.duration_s < shortest_s:
        raise StudioError(f"{path}: {facts.duration_s:.1f} s long, want {shortest_s:g} s or more (a minute or two is good)")
    if min(facts.upright) < 64:
        raise StudioError(f"{path}: {facts.upright[0]}x{facts.upright[1]} pixels, want 64 or more each way")
    notes = facts.changes
    size = target_size(facts)
    if size != facts.upright:
        notes.append(f"scaled from {facts.upright[0]}x{facts.upright[1]} to {size[0]}x{size[1]}")
    if facts.variable_rate:
        notes.append(f"variable frame rate ({float(facts.rate):.4g} a second on average), resampled by time to {FPS}")
    elif facts.rate != FPS:
        notes.append(f"{float(facts.rate):.4g} frames a second, resampled by time to {FPS}")
    if facts.rate < COARSE_RATE:
        notes.append(f"warning: {float(facts.rate):.4g} frames a second miss much of a mouth's movement, want {FPS} or more")
    if facts.duration_s > LONGEST_S:
        notes.append(f"the first {LONGEST_S / 60:g} of {facts.duration_s / 60:.1f} minutes are taken")
    if facts.sounds > 1:
        notes.append(f"{facts.sounds} audio tracks, the first is taken")
    return notes


def normalise(path: Path, video: Path, *, shortest_s: float = SHORTEST_S) -> Recording:
    """Writes `video`, beside its name first. StudioError where the recording is of no use."""
    facts = probe(path)
    notes = check(path, facts, shortest_s)
    width, height = target_size(facts)
    part = video.with_name(f".{video.name}.part")
    pictures = f"setpts=PTS+{facts.picture_late_s:.6f}/TB,fps={FPS}:start_time=0,{facts.scaled(width, height)}"
    command = [program("ffmpeg"), "-nostdin", "-y", "-v", "error", "-i", source(path), "-map", f"0:{facts.stream}",
               "-t", str(LONGEST_S), "-an", "-sn", "-dn", "-vf", pictures, *h264(16), source(part)]  # fmt: skip
    made = subprocess.run(command, capture_output=True, text=True, errors="replace")
    complaint = first_line(made.stderr) if made.stderr.strip() else ""
    full = os.strerror(errno.ENOSPC)
    if full in made.stderr:  # not the recording's fault, though it looks like one that ends early
        part.unlink(missing_ok=True)
        raise StudioError(f"{video}: {full}", EXIT_OUTPUT)
    frames = count_frames(part) if part.exists() else 0
    if frames == 0:
        raise StudioError(f"{path}: no frame can be decoded: {complaint or 'the video track is empty'}")
    seconds = frames / FPS
    if made.returncode != 0 and not _ends_early(seconds, min(facts.duration_s, LONGEST_S)):
        raise StudioError(f"{video}: {complaint}", EXIT_OUTPUT)
    told, damaged = _damage(path, facts, frames, complaint)
    notes += told
    if seconds < shortest_s:
        why = f" ({notes[-1].removeprefix('warning: ')})" if notes else ""
        raise StudioError(f"{path}: {seconds:.1f} s of picture, want {shortest_s:g} s or more{why}")
    part.replace(video)
    return Recording(video, width, height, frames, notes, damaged)


def _ends_early(seconds: float, wanted_s: float) -> bool:
    return seconds < wanted_s - max(0.25, 0.01 * wanted_s)


def _damage(path: Path, facts: Facts, frames: int, complaint: str) -> tuple[list[str], list[Run]]:
    """What is damaged in the recording, for people, and the frames that are. complaint: of the decoder of the picture."""
    sound = damage_of(path, "a:0", facts, LONGEST_S)
    picture = Damage([], [], 0.0)
    if complaint or sound.spans or sound.gaps:
        picture = damage_of(path, str(facts.stream), facts, LONGEST_S)
    seconds = frames / FPS
    spans: list[Span] = []
    notes = []
    for name, one, other in (("picture", picture, sound), ("sound", sound, picture)):
        lost = lost_parts(one, other)
        runs = frames_of(lost, frames)
        if runs:
            notes.append(f"warning: the {name} is damaged in {listed(runs)}{': ' + one.complaint if one.complaint else ''}")
        spans += lost
    if _ends_early(sound.end_s, seconds):
        notes.append(f"warning: the sound ends early: {sound.end_s:.2f} of {seconds:.2f} s")
        spans.append((sound.end_s, seconds))
    damaged = frames_of(spans, frames)
    if complaint and not damaged:
        notes.append(f"warning: the decoder complains of no frame that is shown: {complaint}")
    return notes + _lost_end(path, facts, frames, sound.end_s, complaint), damaged


def _lost_end(path: Path, facts: Facts, frames: int, sound_s: float, complaint: str) -> list[str]:
    """That the picture ends before the file's own length, the sound, or the bytes of a transport stream, which tells none."""
    seconds = frames / FPS
    wanted_s, why = max(facts.duration_s, sound_s), complaint
    tail = unreadable_tail(path) if facts.transport_stream else 0
    if tail:
        size = path.stat().st_size
        by_bytes_s = seconds * size / (size - tail)
        if _ends_early(seconds, by_bytes_s):
            wanted_s, why = max(wanted_s, by_bytes_s), f"the last {tail} of {size} bytes hold neither picture nor sound"
    wanted_s = min(wanted_s, LONGEST_S)
    if not _ends_early(seconds, wanted_s):
        return []
    return [f"warning: the picture ends early: {seconds:.2f} of {wanted_s:.2f} s can be decoded (frames 0-{frames - 1})"
            f"{': ' + why if why else ''}"]  # fmt: skip


def count_frames(video: Path) -> int:
    """Frames in a video; 0 where it cannot be read."""
    command = [program("ffprobe"), "-v", "error", "-count_packets", "-select_streams", "v:0",
               "-show_entries", "stream=nb_read_packets", "-of", "csv=p=0", source(video)]  # fmt: skip
    told = subprocess.run(command, capture_output=True, text=True).stdout.strip().strip(",")
    return int(told) if told.isdigit() else 0


def read_sound(path: Path, frames: int | None = None) -> npt.NDArray[np.float32]:
    """The first audio track as mono [L] at 16 kHz in [-1,1], ten minutes of it at most: it begins with the picture.

    frames: it ends with these, so L is 640 each. StudioError where it cannot be decoded.
    """
    late_s = 0.0 if frames is None else probe(path).sound_late_s
    sound = f"asetpts=PTS+{late_s:.6f}/TB,aresample=async=1:first_pts=0"
    command = [program("ffmpeg"), "-v", "error", "-i", source(path), "-t", str(LONGEST_S), "-map", "0:a:0", "-af", sound,
               "-ac", "1", "-ar", str(RATE_HZ), "-f", "s16le", "-"]  # fmt: skip
    heard = subprocess.run(command, capture_output=True)
    wave = np.frombuffer(heard.stdout[: len(heard.stdout) // 2 * 2], "<i2").astype(np.float32) / 32768
    if len(wave) == 0:
        raise StudioError(f"{path}: no sound can be decoded: {first_line(heard.stderr.decode(errors='replace'))}")
    if frames is None:
        return wave
    length = frames * RATE_HZ // FPS
    return np.pad(wave[:length], (0, max(0, length - len(wave))))
