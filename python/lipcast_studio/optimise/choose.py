"""Which of the rewrites pay, measured on this machine."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from lipcast_studio.optimise.algebra import rewrite, sites
from lipcast_studio.optimise.split import Split, largest_difference, random_inputs, session_of, split

LARGEST_DIFFERENCE = 1e-4
WORTH = 0.98  # a rewrite must take at most this share of the time before it
ROUNDS = 12


@dataclass(frozen=True)
class Choice:
    """The parts to use, and what was measured on the way."""

    parts: Split
    difference: float  # from the whole network
    figures: dict[str, Any]


def interleaved_ms(calls: dict[str, object], rounds: int = ROUNDS) -> dict[str, float]:
    """CPU milliseconds of each call, the least of some rounds in turn: others use the machine too."""
    least = dict.fromkeys(calls, float("inf"))
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.thread_time()
            call()  # type: ignore[operator]
            least[name] = min(least[name], 1e3 * (time.thread_time() - start))
    return least


def _runner(model: onnx.ModelProto) -> object:
    session = session_of(model)
    rng = np.random.default_rng(0)
    kinds = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
    feed = {
        value.name: rng.uniform(0, 1, [d if isinstance(d, int) else 1 for d in value.shape]).astype(kinds[value.type])
        for value in session.get_inputs()
    }
    return lambda: session.run(None, feed)


def choose(model: onnx.ModelProto, *, exact: bool) -> Choice:
    """The plain parts, or with `exact` False those with every rewrite that is measured to pay."""
    plain = split(model)
    chosen: dict[str, bool] = {}
    best, tried = plain, []
    for site in [] if exact else sites(model):
        options = {False: {**chosen, site.conv: False}}
        if site.before_resize:
            options[True] = {**chosen, site.conv: True}
        parts = {moved: split(rewrite(model, option)) for moved, option in options.items()}
        times = interleaved_ms({"before": _runner(best.audio), **{str(m): _runner(p.audio) for m, p in parts.items()}})
        fastest = min(parts, key=lambda moved: times[str(moved)])
        pays = times[str(fastest)] < WORTH * times["before"]
        good = pays and largest_difference(model, parts[fastest]) <= LARGEST_DIFFERENCE
        tried.append({"convolution": site.conv, "ms": {name: round(ms, 2) for name, ms in times.items()}, "taken": good})
        if good:
            chosen, best = options[fastest], parts[fastest]
    whole = session_of(model)
    feed = random_inputs(model, 1, 0)
    times = interleaved_ms(
        {
            "whole": lambda: whole.run(None, feed),
            "image part": _runner(best.image),
            "audio part, plain": _runner(plain.audio),
            "audio part": _runner(best.audio),
        }
    )
    figures = {
        "ms_a_frame_one_thread": {name: round(ms, 2) for name, ms in times.items()},
        "times_faster": round(times["whole"] / times["audio part"], 2),
        "kept_floats_a_frame": sum(cut.floats for cut in best.cuts),
        "convolutions_taken_apart": len(chosen),
        "tried": tried,
    }
    return Choice(best, largest_difference(model, best), figures)
