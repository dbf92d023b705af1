"""Picture and sound of the page together, by what the browser shows and plays.

The marker avatar is bright in the frame whose 40 ms hold a burst of sound; page_probe.js reads the canvas
and taps the audio graph. Skew: when that picture could be seen, less when that frame's first sample
could be heard. LIPCAST_SYNC_SECONDS sets how long the quiet part is; docs/performance.md has the figures.
"""

import itertools
import os
import socket
import statistics
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.browser import Page, chromium
from tests.served import serving, wait_until
from tests.test_page import HINT, NOTICE, READY

PROBE = Path(__file__).with_name("page_probe.js")
SECONDS = float(os.environ.get("LIPCAST_SYNC_SECONDS", 8))
RATE_HZ, FPS, LOOP = 48_000, 25, 250
EVERY = 12  # frames from a burst to the next
FRAME_MS = 1000 / FPS
INTO_MS = 10  # of a burst after its frame's first sample
MOUTH_XY, BRIGHT = [160, 100], 107


def bursts_wav(path, seconds):
    """Faint noise, so that no frame is silent, and 20 ms of 1 kHz inside every 12th frame."""
    frame = RATE_HZ // FPS
    sound = np.random.default_rng(1).uniform(-0.02, 0.02, int(seconds * RATE_HZ))
    burst = 0.8 * np.cos(2 * np.pi * 1000 * np.arange(RATE_HZ // 50) / RATE_HZ)
    into = RATE_HZ * INTO_MS // 1000
    for at in range(EVERY * frame + into, len(sound) - frame, EVERY * frame):
        sound[at : at + len(burst)] = burst
    soundfile.write(path, sound, RATE_HZ, subtype="PCM_16")
    return path


class Line:
    """A TCP proxy in front of a server; while `stalled` nothing passes either way."""

    def __init__(self, port):
        self.target = port
        self.flows = threading.Event()
        self.flows.set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
                far = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                return
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self.pump, args=(a, b), daemon=True).start()

    def pump(self, source, sink):
        try:
            while data := source.recv(1 << 16):
                self.flows.wait()
                sink.sendall(data)
        except OSError:
            pass  # the other direction has ended it
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def stall(self, seconds):
        self.flows.clear()
        time.sleep(seconds)  # the length of the stall is what is tested
        self.flows.set()

    def close(self):
        self.flows.set()
        self.listener.close()


class Watch:
    """What the probe saw, from its last mark on."""

    def __init__(self, page):
        self.page = page
        self.mark()

    def mark(self):
        self.begin = self.page.run("performance.now()")

    def bursts(self):
        return self.page.run(
            f"pageProbe.bursts.filter(({{ at }}) => at > {self.begin}).length"
        )

    def heard(self, count):
        """Until that many bursts more have been heard."""
        limit_s = 20 + 2 * count * EVERY / FPS
        wanted = self.bursts() + count
        assert wait_until(lambda: self.bursts() >= wanted, limit_s), self.page.run(HINT)

    def judge(self, name, bursts):
        """Skews in ms of that many bursts from the mark on, of at least two in three."""
        count = 2 * bursts // 3
        until = time.monotonic() + 60 + 3 * bursts * EVERY / FPS
        self.heard(bursts + 1)
        while len((seen := self.seen()).skews) < count and time.monotonic() < until:
            self.heard(2)
        waiting = self.page.run("avatar.figures.bufferMs")
        print(f"\n{name}: {seen}; {waiting:.0f} ms of sound wait", end="")
        assert len(seen.skews) >= count, "the browser got too little of the machine"
        assert seen.unseen <= len(seen.skews) // 4
        self.mark()
        return seen.skews

    def seen(self):
        """Bursts are left out beside which the browser gave the page no animation frame for longer than
        25 ms (one in 17 is the rule): nothing could be shown there."""
        found = self.page.run(
            "({ bursts: pageProbe.bursts, pictures: pageProbe.pictures, gaps: pageProbe.gaps })"
        )
        pictures = [p for p in found["pictures"] if p["at"] > self.begin]
        assert len(pictures) > 10, "the picture stands still"
        assert all(p["number"] >= 0 for p in pictures), "a torn picture"
        numbers = [p["number"] for p in pictures]
        steps = [(b - a) % LOOP for a, b in itertools.pairwise(numbers)]
        assert max(steps) < LOOP / 2, "a picture of before came back"
        seen = Seen([], 0, 0, sum(step - 1 for step in steps if step), sum(steps))
        flashes = [
            now["at"]
            for before, now in itertools.pairwise(pictures)
            if now["mouth"] > BRIGHT >= before["mouth"]
        ]
        last = pictures[-1]["at"] - 200
        for burst in (one["at"] - INTO_MS for one in found["bursts"]):
            if not self.begin + 200 < burst < last:
                continue
            if any(
                gap["from"] < burst + FRAME_MS and gap["to"] > burst - FRAME_MS
                for gap in found["gaps"]
            ):
                seen.starved += 1
                continue
            near = min(flashes, key=lambda at: abs(at - burst), default=0) - burst
            if abs(near) > 5 * FRAME_MS:
                seen.unseen += 1  # its picture came late and was left out, as it must
            else:
                seen.skews.append(near)
        return seen


@dataclass
class Seen:
    skews: list[float]  # ms, the picture after the sound
    unseen: int  # bursts without their picture
    starved: int  # bursts not judged
    dropped: int  # pictures between two that were shown
    pictures: int

    def __str__(self):
        return (
            f"{len(self.skews)} bursts, skew median {statistics.median(self.skews or [0]):.1f} ms, "
            f"{min(self.skews, default=0):.1f} .. {max(self.skews, default=0):.1f}; "
            f"{self.unseen} pictures left out, {self.starved} not judged; "
            f"{self.dropped} of {self.pictures} pictures not shown"
        )


def in_time(skews):
    """Within one frame; on a busy machine one, or one in twenty, may be of a moment without CPU."""
    late = [skew for skew in skews if abs(skew) > FRAME_MS]
    return abs(statistics.median(skews)) < FRAME_MS / 2 and len(late) <= max(
        1, len(skews) // 20
    )


@pytest.fixture(scope="module")
def marked(avatar):
    package = avatar("sync", model="M2", encoder="onset", frames=LOOP, images="video")
    with serving("--set", f"avatars.roots={package.parent}", preload="sync") as server:
        yield server


def heard_page(port, url):
    """A tab whose sound plays and whose pictures and sound the probe follows."""
    page = Page(port)
    page.call("Page.setBypassCSP", enabled=True)  # for the tap's worklet
    page.call("Page.addScriptToEvaluateOnNewDocument", source=PROBE.read_text())
    page.go(url)
    assert page.wait(READY), page.run(NOTICE)
    page.click("h1")
    assert page.wait("avatar.audible")
    page.run(f"pageProbe.start(avatar.player, {MOUTH_XY})")
    return page


def test_picture_and_sound_stay_within_one_frame(marked, tmp_path):
    sound = bursts_wav(tmp_path / "bursts.wav", SECONDS + 60)
    line = Line(marked.http_port)
    with chromium(tmp_path / "browser") as port:
        page = heard_page(port, f"http://127.0.0.1:{line.port}/?avatar=sync")
        watch = Watch(page)

        page.choose("#file", sound)
        assert in_time(
            watch.judge(f"{SECONDS:.0f} s of speech", int(SECONDS * FPS / EVERY))
        )

        for _ in range(10):
            before = page.run("avatar.session.utterance")
            page.choose("#file", sound)
            assert page.wait(f"avatar.session.utterance > {before}", 30), page.run(HINT)
            watch.heard(1)
        watch.mark()
        assert in_time(watch.judge("after 10 interruptions", 8))

        line.stall(2)
        watch.mark()
        assert in_time(watch.judge("after a network stall of 2 s", 8))

        other = Page(port)  # in front of it
        assert page.wait("document.hidden")
        hidden = page.run("performance.now()")
        assert page.wait(f"performance.now() > {hidden} + 5000")
        page.call("Page.bringToFront")
        assert page.wait("!document.hidden")
        watch.mark()
        assert in_time(watch.judge("after 5 s behind another tab", 8))

        # As much sound as may wait, and so pictures: more than a decoder has room for.
        page.run("avatar.player.retarget(0.49), avatar.player.audioChanged()")
        assert page.wait("avatar.figures.bufferMs > 400")
        watch.mark()
        assert in_time(watch.judge("with half a second of sound waiting", 8))

        # Stop: the first idle picture does not wait behind that sound, nor behind repeats without one.
        page.run("""{
          const { player } = avatar;
          player.addEventListener("picture", ({ detail: { frame, drawn } }) => {
            if (!drawn || frame.speaking || globalThis.stillAhead !== undefined) return;
            globalThis.stillAhead = frame.index / player.fps - player.now();
            globalThis.stillMs = performance.now() - globalThis.stopAt;
          });
        }""")
        page.run("globalThis.stopAt = performance.now(), avatar.stop()")
        assert page.wait("globalThis.stillAhead !== undefined")
        print(f"\nStop to the first idle picture: {page.run('stillMs'):.0f} ms", end="")
        ahead = page.run(
            "stillAhead"
        )  # s; one that waits for its own time is drawn at it or later
        print(f", {ahead:.2f} s before its time", end="")
        assert ahead > 0
        page.choose("#file", sound)
        watch.heard(2)

        # The ruler itself: pictures that are shown 60 ms late are found to be.
        page.run(
            "{ const { player } = avatar, now = player.now.bind(player); player.now = () => now() - 0.06; }"
        )
        watch.mark()
        late = watch.judge("with pictures 60 ms late", 5)
        assert 40 < statistics.median(late) < 90
        assert not in_time(late)
        assert page.console == []
        other.close()
        page.close()
    line.close()


def test_picture_and_sound_of_a_movie_stay_together(marked, tmp_path):
    """Their clock is the browser's own, and so is the part of a frame that it is off by."""
    sound = bursts_wav(tmp_path / "bursts.wav", SECONDS + 30)
    with chromium(tmp_path / "browser") as port:
        url = f"http://127.0.0.1:{marked.http_port}/?avatar=sync&pictures=mse"
        page = heard_page(port, url)
        watch = Watch(page)
        page.choose("#file", sound)
        skews = watch.judge("a movie", int(SECONDS * FPS / EVERY))
        assert abs(statistics.median(skews)) < FRAME_MS
        assert page.console == []
        page.close()
