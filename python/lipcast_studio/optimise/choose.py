"""Which of a network's variants pay, measured on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any

import numpy as np
import onnx

from lipcast_studio.optimise.algebra import rewrite, sites
from lipcast_studio.optimise.int8 import Loss, Twin, figures_of, loss, make_twin, psnr_db
from lipcast_studio.optimise.own_feeds import OwnFeeds
from lipcast_studio.optimise.simplify import simplify
from lipcast_studio.optimise.split import RefusedError, Split, find_inputs, random_inputs, session_of, split

Array = np.ndarray[Any, Any]
Feed = dict[str, Array]
LARGEST_DIFFERENCE = 1e-4
WORTH = 0.98  # a rewrite must take at most this share of the time before it
ROUNDS = 12
NOISE_RUNS = 4
CHOSEN = 10  # of the calibration, for what is tried again and again


@dataclass(frozen=True)
class Int8:
    """The twin in 8 bits with its loss; `image` is the part it goes with, None for one of the whole network."""

    twin: Twin
    image: onnx.ModelProto | None
    loss: Loss
    audio_nodes: int


@dataclass(frozen=True)
class Choice:
    """The variants there are, and what was measured on the way."""

    parts: Split | None  # None: the network cannot be split; `unsplit` says why
    int8: Int8 | None
    difference: float  # of the parts from the whole network
    figures: dict[str, Any]
    unsplit: str = ""

    def fastest(self, variants: list[str]) -> str:
        """Of these names of variants."""
        times = self.figures["ms_a_frame_one_thread"]
        return min(variants, key=lambda name: times[name])


@dataclass(frozen=True)
class Feeds:
    """What the network is judged on: its avatar's own, or noise where that is not known."""

    calibration: list[Feed]  # by name of the whole network's inputs, as all
    chosen: list[Feed]  # some of them
    held: list[Feed]
    still: list[Feed]  # the held sounds on one picture
    mask: tuple[slice, slice]  # rows, columns
    source: str

    @classmethod
    def noise(cls, model: onnx.ModelProto) -> Feeds:
        """Where nothing better is known."""
        feeds = [random_inputs(model, 1, seed) for seed in range(NOISE_RUNS)]
        return cls(feeds, feeds, feeds, feeds, (slice(None), slice(None)), "noise")

    @classmethod
    def own(cls, model: onnx.ModelProto, feeds: OwnFeeds, mask: dict[str, int]) -> Feeds:
        """The avatar's own."""
        picture, sound = find_inputs(model.graph)
        kinds = [onnx.helper.tensor_dtype_to_np_dtype(v.type.tensor_type.elem_type) for v in (picture, sound)]

        def pairs(pictures: Array, contexts: Array) -> list[Feed]:
            both = zip(pictures.astype(kinds[0]), contexts.astype(kinds[1]), strict=True)
            return [{picture.name: a[None], sound.name: b[None]} for a, b in both]

        still = np.repeat(feeds.held_pictures[:1], len(feeds.held_contexts), axis=0)
        rows = slice(mask["y"], mask["y"] + mask["height"])
        calibration = pairs(feeds.pictures, feeds.contexts)
        return cls(
            calibration,
            calibration[:: -(-len(calibration) // CHOSEN)],
            pairs(feeds.held_pictures, feeds.held_contexts),
            pairs(still, feeds.held_contexts),
            (rows, slice(mask["x"], mask["x"] + mask["width"])),
            feeds.sound,
        )


class Drawer:
    """A variant as one function of the whole network's inputs. image None: one network."""

    def __init__(self, image: onnx.ModelProto | None, audio: onnx.ModelProto) -> None:
        self._image = session_of(image) if image else None
        self._audio = session_of(audio)

    def audio_feed(self, feed: Feed) -> Feed:
        """What the part that runs for every frame takes."""
        if self._image is None:
            return feed
        (picture,) = self._image.get_inputs()
        names = [value.name for value in self._image.get_outputs()]
        kept = dict(zip(names, self._image.run(None, {picture.name: feed[picture.name]}), strict=True))
        sounds = {name: value for name, value in feed.items() if name != picture.name}
        return {**kept, **sounds}

    def draw(self, feeds: list[Feed]) -> Array:
        """[n,3,S,S]."""
        return np.concatenate([self._audio.run(None, self.audio_feed(feed))[0] for feed in feeds])

    def every_frame(self, feed: Feed) -> Callable[[], object]:
        """A call that does what every frame costs."""
        ready = self.audio_feed(feed)
        return lambda: self._audio.run(None, ready)

    def once(self, feed: Feed) -> Callable[[], object]:
        """A call that does what an avatar's frame costs once."""
        return lambda: self.audio_feed(feed)


def interleaved(
    calls: dict[str, Callable[[], object]],
    rounds: int = ROUNDS,
    clock_of: Callable[[str], Callable[[], float]] = lambda name: time.thread_time,
) -> dict[str, list[float]]:
    """CPU milliseconds of each call in some rounds, in turn: others use the machine too.

    clock_of: by the name of a call, the clock that sees its work; ONNX Runtime's is done in this thread.
    """
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            clock = clock_of(name)
            start = clock()
            call()
            found[name].append(1e3 * (clock() - start))
    return found


def least(times: dict[str, list[float]]) -> dict[str, float]:
    """Of each call."""
    return {name: min(values) for name, values in times.items()}


def spread(base: list[float], other: list[float]) -> dict[str, float]:
    """Of base / other, round by round: median and quartiles."""
    ratios = [a / b for a, b in zip(base, other, strict=True)]
    low, _, high = quantiles(ratios, n=4)
    return {"median": round(median(ratios), 2), "low": round(low, 2), "high": round(high, 2)}


def difference(wanted: Array, got: Array) -> float:
    """The greatest; infinite where one is not finite."""
    worst = float(np.abs(got.astype(np.float64) - wanted).max())
    return worst if np.isfinite(worst) else float("inf")


def own_rounding(model: onnx.ModelProto, feeds: list[Feed], wanted: Array) -> float:
    """How far the whole network is from itself where ONNX Runtime orders its sums otherwise: no rewrite can do better."""
    plain = session_of(model, optimise=False)
    return difference(wanted, np.concatenate([plain.run(None, feed)[0] for feed in feeds]))


def _simplified(model: onnx.ModelProto, feeds: list[Feed], wanted: Array) -> onnx.ModelProto:
    """The network itself where a bit would change."""
    simple = simplify(model)
    return simple if np.array_equal(Drawer(None, simple).draw(feeds), wanted, equal_nan=True) else model


def _best_parts(model: onnx.ModelProto, plain: Split, feeds: Feeds, wanted: Array) -> tuple[Split, int, list[dict[str, Any]]]:
    """Site by site: every rewrite that is measured to pay and moves the output by 1e-4 at most."""
    chosen: dict[str, bool] = {}
    best, tried = plain, []
    for site in sites(model):
        options = {False: {**chosen, site.conv: False}}
        if site.before_resize:
            options[True] = {**chosen, site.conv: True}
        parts = {moved: split(rewrite(model, option)) for moved, option in options.items()}
        drawers = {moved: Drawer(part.image, part.audio) for moved, part in parts.items()}
        before = Drawer(best.image, best.audio)
        calls = {"before": before.every_frame(feeds.chosen[0])}
        calls |= {str(moved): drawer.every_frame(feeds.chosen[0]) for moved, drawer in drawers.items()}
        times = least(interleaved(calls))
        fastest = min(parts, key=lambda moved: times[str(moved)])
        pays = times[str(fastest)] < WORTH * times["before"]
        moves = difference(wanted, drawers[fastest].draw(feeds.chosen)) if pays else None
        good = moves is not None and moves <= LARGEST_DIFFERENCE
        ms = {name: round(value, 2) for name, value in times.items()}
        tried.append({"convolution": site.conv, "ms": ms, "difference": moves, "taken": good})
        if good:
            chosen, best = options[fastest], parts[fastest]
    return best, len(chosen), tried


def _int8(model: onnx.ModelProto, plain: Split | None, feeds: Feeds, whole: Drawer) -> Int8:
    """Of the audio part as it was cut: taken apart, a concatenation's halves no longer hand on 8 bits."""
    image, base = (plain.image, plain.audio) if plain else (None, model)
    source = Drawer(image, base)
    rows, columns = feeds.mask

    def inside(drawn: Array) -> Array:
        return drawn[:, :, rows, columns]

    wanted = inside(whole.draw(feeds.chosen))

    def near(twin: onnx.ModelProto) -> float:
        return psnr_db(inside(Drawer(image, twin).draw(feeds.chosen)), wanted)

    twin = make_twin(base, lambda: map(source.audio_feed, feeds.calibration), near)
    drawn = Drawer(image, twin.model)
    pictures = [inside(drawer.draw(some)) for some in (feeds.held, feeds.still) for drawer in (whole, drawn)]
    return Int8(twin, image, loss(*pictures), plain.audio_nodes if plain else len(model.graph.node))


def choose(model: onnx.ModelProto, *, exact: bool, feeds: Feeds | None = None) -> Choice:
    """Every variant of a network, measured in turn. exact: only the plain parts.

    feeds: the avatar's own; without them the parts are judged on noise and there is no twin in 8
    bits. RefusedError where the network is not of this kind, or has no variant at all.
    """
    find_inputs(model.graph)
    judged = feeds or Feeds.noise(model)
    whole = Drawer(None, model)
    wanted = whole.draw(judged.chosen)
    simple = _simplified(model, judged.chosen, wanted)
    unsplit = ""
    plain: Split | None = None
    try:
        plain = split(simple)
    except RefusedError as error:
        if exact or feeds is None:
            raise
        unsplit = str(error)
    best, apart, tried = plain, 0, list[dict[str, Any]]()
    if plain and not exact:
        best, apart, tried = _best_parts(simple, plain, judged, wanted)
    int8 = _int8(simple, plain, feeds, whole) if feeds and not exact else None

    first = judged.held[0]
    calls = {"full": whole.every_frame(first)}
    worst = 0.0
    if plain and best:
        parts = Drawer(best.image, best.audio)
        worst = difference(whole.draw(judged.held), parts.draw(judged.held))
        worst = max(worst, difference(wanted, parts.draw(judged.chosen)))
        calls |= {"image part": parts.once(first), "split, plain": Drawer(plain.image, plain.audio).every_frame(first)}
        calls["split"] = parts.every_frame(first)
    if int8:
        calls["int8"] = Drawer(int8.image, int8.twin.model).every_frame(first)
    times = interleaved(calls)
    figures: dict[str, Any] = {
        "judged_on": judged.source,
        "ms_a_frame_one_thread": {name: round(ms, 2) for name, ms in least(times).items()},
        "times_faster_than_full": {name: spread(times["full"], times[name]) for name in ("split", "int8") if name in times},
        "nodes": {"network": len(model.graph.node), "simplified": len(simple.graph.node)},
        "rounding_of_the_whole": own_rounding(model, judged.chosen, wanted),
    }
    if best:
        figures["kept_floats_a_frame"] = sum(cut.floats for cut in best.cuts)
        figures |= {"convolutions_taken_apart": apart, "tried": tried}
    if int8:
        figures["int8"] = figures_of(int8.twin, int8.loss, judged.source)
    return Choice(best, int8, worst, figures, unsplit)
