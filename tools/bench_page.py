#!/usr/bin/env python3
"""Latencies of the page on this machine, in real Chromium, each part by itself: median (least .. greatest).

    .deps/python/bin/python tools/bench_page.py [--rounds 20] [--binary A [B ..]]

With several binaries their rounds take turns, so that what else the machine does meets all alike.
  page       navigation to the first picture on the canvas
  speech     the sound of an utterance that the server waits for (0.58 s and four frames) is sent, to: its
             first picture received; that picture shown, which is when it is heard. The first of a session,
             and a later one
  Stop       pressed, to: `cleared` received; the first frame that is not the utterance's received; the first
             such picture received; shown (the mouth closes); the first still mouth shown
  without    frames between Stop and that picture that came without one, as none was drawn in time
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from tests import lab  # noqa: E402
from tests.browser import Page, chromium  # noqa: E402
from tests.served import SPEECH, serving  # noqa: E402
from tests.test_page import READY  # noqa: E402

# What came from the server and what was shown, in ms of performance.now().
HOOK = """{
  globalThis.seen = [];
  const at = (kind, frame = {}, picture = false) => seen.push({
    kind, at: performance.now(), utterance: frame.utterance ?? 0, speaking: Boolean(frame.speaking), picture,
  });
  avatar.addEventListener("cleared", () => at("cleared"));
  avatar.session.addEventListener("frame", ({ detail }) => at("received", detail, Boolean(detail.picture)));
  avatar.player.addEventListener("picture", ({ detail: { frame, drawn } }) => at("shown", frame, drawn));
}"""


class Bench:
    """One server, one browser, one tab, and what was measured with them."""

    def __init__(self, server, port):
        self.url = f"http://127.0.0.1:{server.http_port}/"
        self.page = Page(port)
        self.found = defaultdict(list)
        self.utterance = 0

    def note(self, name, value):
        self.found[name].append(value)

    def load(self):
        self.page.go("about:blank")
        self.page.go(self.url)
        assert self.page.wait(READY)
        first = (
            "avatar.asked + avatar.figures.firstPictureMs"  # since the navigation began
        )
        self.note("page: first picture", self.page.run(first))
        self.page.click("h1")
        assert self.page.wait("avatar.audible && avatar.figures.bufferMs > 0")
        self.page.run(HOOK)

    def seen(self, **wanted):
        return [
            one["at"]
            for one in self.page.run("seen")
            if all(one[key] == value for key, value in wanted.items())
        ]

    def speak(self, name):
        page = self.page
        page.run("seen.length = 0")
        page.choose("#file", SPEECH)
        assert page.wait("avatar.speaking")
        self.utterance = page.run("avatar.session.utterance")
        needed = page.run("avatar.session.neededAt")
        mine = {"utterance": self.utterance, "picture": True}
        assert page.wait(
            f"seen.some((one) => one.kind === 'shown' && one.picture && one.utterance === {self.utterance})"
        )
        self.note(f"{name}: received", self.seen(kind="received", **mine)[0] - needed)
        self.note(f"{name}: shown", self.seen(kind="shown", **mine)[0] - needed)

    def stop(self, after_ms):
        page = self.page
        begin = page.run("performance.now()")
        assert page.wait(f"performance.now() > {begin} + {after_ms} && avatar.speaking")
        stop = page.run(
            "(seen.length = 0, globalThis.stopAt = performance.now(), avatar.stop(), stopAt)"
        )
        still = "one.kind === 'shown' && one.picture && !one.utterance && !one.speaking"
        assert page.wait(f"seen.some((one) => {still})")
        other = {"utterance": 0}
        self.note("Stop: cleared", self.seen(kind="cleared")[0] - stop)
        self.note("Stop: frame", self.seen(kind="received", **other)[0] - stop)
        picture = self.seen(kind="received", picture=True, **other)[0]
        self.note("Stop: picture", picture - stop)
        self.note(
            "Stop: shown", self.seen(kind="shown", picture=True, **other)[0] - stop
        )
        self.note(
            "Stop: still",
            self.seen(kind="shown", picture=True, speaking=False, **other)[0] - stop,
        )
        bare = self.seen(kind="received", picture=False, **other)
        self.note("without", sum(at < picture for at in bare))

    def print(self, name):
        print(name)
        for what, values in self.found.items():
            least, most = min(values), max(values)
            unit = "" if what == "without" else " ms"
            print(
                f"  {what:20} {statistics.median(values):4.0f}{unit} ({least:.0f} .. {most:.0f})"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--binary", type=Path, nargs="+", default=[lab.BINARY])
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        benches = []
        for number, binary in enumerate(arguments.binary):
            lab.BINARY = binary
            server = stack.enter_context(serving())
            port = stack.enter_context(chromium(folder / f"browser{number}"))
            benches.append(Bench(server, port))
        for number in range(arguments.rounds):
            for bench in benches:
                bench.load()
                for name in ("first speech", "later speech"):
                    bench.speak(name)
                    bench.stop(600 + 17 * number)  # at any place between two frames
                bench.page.go("about:blank")  # the other one has the machine
        print(f"{arguments.rounds} rounds, load {os.getloadavg()[0]:.1f}")
        for binary, bench in zip(arguments.binary, benches, strict=True):
            bench.print(binary)


if __name__ == "__main__":
    main()
