"""The whole line: recording -> normalised -> faces -> report -> two stages of training -> package -> check."""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import EXIT_UNAVAILABLE, StudioError
from ..face.boxes import Box, box_track
from ..face.landmarks import FaceFinder
from ..face.mouth import LOSS_WEIGHTS, OPEN, Scale, measures, rest_of, scale_of
from ..face.progress import faces_progress
from ..face.track import DAMAGED, Track, follow
from ..find_torch import find_torch
from ..new_package import claim, new_package, package_name
from ..speech import speech_line, write_speech
from ..video.ffmpeg import read_frames
from ..video.normalise import Recording, normalise, read_sound
from ..video.probe import want_file
from .interrupt import Interrupts, loading
from .options import Options
from .report import Report, judge, silence
from .work_folder import held, open_work, sha256_of, want_place

with loading("PyTorch"):
    find_torch()

    import torch

    from ..training import loop
    from ..training.audio_stage import AudioStage
    from ..training.image_stage import SIZES, ImageStage
    from ..training.loop import Say, Settings
    from ..training.nets import AudioBranch, AudioEncoder, Generator
    from ..training.networks import audio_networks, image_network, networks_of
    from .check import check
    from .material import Recorded, RecordedPairs, cut, parts_of
    from .package import background_of, own_speech, write_figures, write_package

Floats = npt.NDArray[np.float32]

_IMAGE_RATE, _AUDIO_RATE = 3e-3, 1.5e-3
_LARGEST_GAIN, _AT_REST = 1.4, 0.15


@dataclass
class Prepared:
    """A recording that was looked at: everything that training needs of it."""

    recording: Recording
    track: Track
    boxes: list[Box | None]
    wave: Floats
    scale: Scale
    values: Floats
    rest: Floats
    report: Report


def _video(source: Path, work: Path, say: Say, interrupts: Interrupts) -> Recording:
    card = work / "recording.json"
    if card.exists():
        kept = json.loads(card.read_text("utf-8"))
        return Recording(work / "recording.mp4", kept["width"], kept["height"], kept["frames"], kept["notes"],
                         [tuple(run) for run in kept.get("damaged", [])])  # fmt: skip
    say(f"video: reading {source}")
    made = normalise(source, work / "recording.mp4")
    interrupts.check("reading the video")  # Ctrl-C ends ffmpeg, too
    facts = {"width": made.width, "height": made.height, "frames": made.frames, "notes": made.notes, "damaged": made.damaged}
    part = work / ".recording.json.part"
    part.write_text(json.dumps(facts), "utf-8")
    part.replace(card)
    return made


def _faces(recording: Recording, work: Path, say: Say, interrupts: Interrupts) -> Track:
    path = work / "faces.npz"
    if path.exists():
        return Track.load(path)
    tell = faces_progress(recording.frames, say)

    def progress(done: int) -> None:
        interrupts.check(f"looking for faces at frame {done} of {recording.frames}")
        tell(done)

    frames = read_frames(recording.video, recording.width, recording.height)
    track = follow(frames, recording.frames, recording.width, recording.height, FaceFinder(), progress)
    track.save(path)
    return track


def prepare(source: Path, work: Path, say: Say, interrupts: Interrupts) -> Prepared:
    """Says what is of use in the recording; StudioError where that is not enough to train on."""
    recording = _video(source, work, say, interrupts)
    say(f"video: {recording.width}x{recording.height}, {recording.frames} frames, {recording.frames / 25:.2f} s at 25 a second")
    for note in recording.notes:
        say(note if note.startswith("warning") else f"video: {note}")
    wave = read_sound(source, recording.frames)
    interrupts.check("reading the sound")
    quiet = silence(wave, recording.frames)
    if quiet:
        raise StudioError(f"{source}: {quiet}")
    track = _faces(recording, work, say, interrupts)
    for first, last in recording.damaged:
        track.status[first : last + 1] = DAMAGED
    boxes = box_track(track)
    measured = measures(track.points)
    scale = scale_of(measured[track.usable]) if track.usable.any() else None
    report = judge(track, boxes, measured, scale, wave)
    for line in report.lines():
        say(line)
    if report.refusal or scale is None:
        raise StudioError(f"{source}: {report.refusal}")
    values = np.nan_to_num(scale.values(measured))
    return Prepared(recording, track, boxes, wave, scale, values, rest_of(values[track.usable]), report)


def _device(wanted: str) -> str:
    there = bool(torch.cuda.is_available())
    if wanted == "cuda" and not there:
        raise StudioError("--device cuda: PyTorch finds no CUDA device", EXIT_UNAVAILABLE)
    return "cuda" if there and wanted != "cpu" else "cpu"


def gains_of(predicted: Floats, truth: Floats, rest: Floats) -> list[float]:
    """What the values [n,7] are multiplied with so that they spread as the person's do: averaged guesses are too careful.

    Values that are 0 at rest only, so that a closed mouth stays closed; 1 to 1.4.
    """
    ratio = truth.std(0) / np.maximum(predicted.std(0), 1e-3)
    return [float(np.clip(r, 1.0, _LARGEST_GAIN)) if low < _AT_REST else 1.0 for r, low in zip(ratio, rest, strict=True)]


def _train(
    ready: Prepared, options: Options, work: Path, say: Say, interrupts: Interrupts
) -> tuple[AudioEncoder, Generator, dict[str, Any]]:
    device = _device(options.device)
    parts = parts_of(ready.recording.frames)
    usable = ready.track.usable
    audio_steps, image_steps = options.steps
    torch.manual_seed(1)
    encoder, branch = networks_of(options.base) if options.base else (AudioEncoder(), AudioBranch())
    speech = Recorded(ready.wave, ready.values, usable, ready.rest, parts)
    held_out = (ready.wave[parts.held_out * 640 :], ready.values[parts.held_out :], usable[parts.held_out :])
    keep = options.fast and options.base is not None
    start = f"starts from {options.base.name}'s" if options.base else "starts from nothing"
    say(f"audio: {audio_steps} steps on {device}, {start}{', encoder kept' if keep else ''}")
    audio_stage = AudioStage(speech, encoder, branch, loss_weights=LOSS_WEIGHTS, keep_encoder=keep, device=device,
                             held_out=held_out if held_out[2].any() else None)  # fmt: skip
    audio = loop.run(audio_stage, Settings(audio_steps, _AUDIO_RATE, weight_decay=0.02, average=True), work / "audio.pt", say,
                     stop=interrupts.asked)  # fmt: skip
    size = SIZES[options.size]
    pictures = cut(ready.recording.video, ready.track, ready.boxes, size.inner_px, work)
    pairs = RecordedPairs(pictures, ready.track, ready.boxes, ready.values, parts)
    say(f"image: size {options.size}, {size.inner_px} px, {image_steps} steps on {device}; previews in {work / 'previews'}")
    torch.manual_seed(2)
    image_stage = ImageStage(pairs, size, device=device, held_out=pairs.held_out_pairs())
    image = loop.run(image_stage, Settings(image_steps, _IMAGE_RATE, warm_steps=60, seed=2), work / "image.pt", say,
                     stop=interrupts.asked, previews=work / "previews")  # fmt: skip
    encoder, branch = audio_networks(audio.weights)
    gains = [1.0] * len(ready.rest)
    if held_out[2].any():
        audio_stage.model.load_state_dict(audio.weights)
        with torch.no_grad():
            predicted = audio_stage.predict(audio_stage.model.eval(), held_out[0])
        gains = gains_of(predicted[held_out[2]], held_out[1][held_out[2]], ready.rest)
    figures: dict[str, Any] = {
        name: {"steps": trained.steps, "held_out_error": round(min((e for _, e in trained.history), default=0.0), 4)}
        for name, trained in (("audio", audio), ("image", image))
    }
    figures["gains"] = [round(gain, 3) for gain in gains]
    return encoder, Generator(branch, image_network(image.weights, size), gains).eval(), figures


def create(source: Path, output: Path, say: Say, options: Options, *, name: str | None = None, licence: str = "",
           overwrite: bool = False, work: Path | None = None, keep_work: bool = False, restart: bool = False,
           check_only: bool = False) -> None:  # fmt: skip
    """Writes the avatar; StudioError says what is in the way. What was done so far stays in the work folder."""
    name = package_name(name, output, licence)
    if not check_only:
        claim(output, overwrite)
    want_file(source)
    work = work or output.with_name(output.name + ".work")
    for folder in (work,) if check_only else (work, output):
        want_place(folder)
    _device(options.device)
    threads = options.threads or os.cpu_count() or 1
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    began = time.monotonic()
    made_of = {
        "recording": source.name, "sha256": sha256_of(source), "size": options.size, "steps": list(options.steps),
        "fast": options.fast, "base": sha256_of(options.base / "generator.onnx") if options.base else "none",
    }  # fmt: skip
    goes_on = open_work(work, made_of, restart=restart)
    if goes_on:
        say(f"work: goes on in {work}")
    with held(work), Interrupts() as interrupts, interrupts.as_such():
        try:
            ready = prepare(source, work, say, interrupts)
        except StudioError:
            if not interrupts.asked() and not goes_on:
                shutil.rmtree(work, ignore_errors=True)  # a recording of no use leaves nothing behind
            raise
        if check_only:
            say("check: it can be trained on")
            if not keep_work and not goes_on:
                shutil.rmtree(work)
            return
        encoder, generator, figures = _train(ready, options, work, say, interrupts)
        _finish(ready, options, encoder, generator, figures, output, name, licence, made_of, say, interrupts)
    if not keep_work:
        shutil.rmtree(work)
    say(f"avatar: {output} ({(time.monotonic() - began) / 60:.0f} min)")


def _finish(ready: Prepared, options: Options, encoder: AudioEncoder, generator: Generator, figures: dict[str, Any],
            output: Path, name: str, licence: str, made_of: dict[str, Any], say: Say,
            interrupts: Interrupts) -> None:  # fmt: skip
    """Package and check; the avatar appears when both are done."""
    recording, parts = ready.recording, parts_of(ready.recording.frames)
    background = background_of(recording.video, recording.width, recording.height, ready.boxes)
    say(f"package: frames {background.first}-{background.first + background.count - 1} of the recording, the mouth closed")
    with new_package(output) as folder:
        provenance = f"trained by lipcast avatar create on {made_of['recording']} (sha256 {made_of['sha256'][:16]})"
        difference = write_package(folder, background, encoder, generator, ready.rest, ready.wave, SIZES[options.size].inner_px,
                                   name, licence, provenance, interrupts.check)  # fmt: skip
        speech, unheard = own_speech(ready.wave, ready.track.usable, parts)
        if speech is not None:
            write_speech(folder, ready.wave, speech)
        say(speech_line(speech, "the recording") + (", held out" if unheard else ""))
        points = ready.track.points[background.first : background.first + background.count]
        held = slice(parts.held_out, None)
        found = check(folder, background, points, ready.scale, ready.wave[parts.held_out * 640 :],
                      ready.values[held, OPEN], ready.track.usable[held])  # fmt: skip
        say(found.line())
        for warning in found.warnings():
            say(f"warning: {warning}")
        facts = {**made_of, "options": {"size": options.size, "fast": options.fast}, "recording_report": ready.report.facts(),
                 "training": figures, "check": found.facts(), "onnx_difference": difference,
                 "speech": {"frames": speech and [speech[0], speech[1] - 1], "held_out": unheard}}  # fmt: skip
        write_figures(folder, facts)
