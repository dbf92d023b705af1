#!/usr/bin/env python3
"""Load figures of `lipcast serve` on this machine, printed, and with --json as one object.

    .deps/python/bin/python tools/bench_server.py [--json] [--seconds 20] [--avatars demo,160,320]

For each avatar (the demo; SyncTalk networks of 160 and 320 px at full size with random weights, on
1280x720 pictures), live JPEG at 25 frames/s, all sessions speaking all the time:
  sessions     how many the server let in, and the late frames among all of theirs
  lateness     when a frame arrived, against its time in the stream's own best case
  first frame  from the first byte of an utterance sent to its first frame, on an idle session
  barge-in     from clear sent to cleared received, while the others speak
  CPU          seconds of the server for the frames of a file-pace session over those of `lipcast
               render` for the same pictures as JPEG, start and loading left out
The client runs on the same machine and takes its share: its CPU is shown too.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import queue
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import grpc  # noqa: E402
import numpy as np  # noqa: E402
from markers import avatars, synctalk  # noqa: E402

from tests import lab, served  # noqa: E402

FPS = 25
FIRST_FRAMES, CLEARS = 20, 50


def wire_into(folder: Path):
    """lipcast.v1 as any client makes it."""
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT / 'proto'}"]
    command += [f"--python_out={folder}", f"--grpc_python_out={folder}"]
    subprocess.run([*command, "lipcast/v1/lipcast.proto"], check=True)
    sys.path.insert(0, str(folder))
    names = ("lipcast.v1.lipcast_pb2", "lipcast.v1.lipcast_pb2_grpc")
    return tuple(map(importlib.import_module, names))


def make_random(folder: Path, inner_px: int) -> None:
    avatars.make_avatar(
        folder,
        model=synctalk.unet(inner_px)[0],
        encoder=synctalk.audio_encoder()[0],
        inner=inner_px,
        border=4,
        size=(1280, 720),
        frames=50,
        images="video",
        textured=True,
        name=folder.name,
    )


def percentiles(seconds: list[float]) -> dict[str, float]:
    if not seconds:
        return {}
    p50, p99 = np.percentile(seconds, [50, 99])
    worst = max(seconds)
    return {
        k: round(1e3 * v, 2) for k, v in (("p50", p50), ("p99", p99), ("max", worst))
    }


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Speaker:
    """A live session on a connection of its own that speaks until it is told to stop."""

    def __init__(self, server, wire, avatar: str, audio: bytes, rate: int) -> None:
        self.messages, services = wire
        self.audio, self.rate = audio, rate
        self.outbox: queue.Queue = queue.Queue()
        options = [("grpc.use_local_subchannel_pool", 1)]
        target = f"127.0.0.1:{server.grpc_port}"
        self.channel = grpc.insecure_channel(target, options)
        opening = self.messages.OpenSession(avatar=avatar)
        opening.audio.rate_hz = rate
        self.send(open=opening)
        self.call = services.SpeechStub(self.channel).Speak(iter(self.outbox.get, None))
        try:
            next(self.call)
        except grpc.RpcError:
            self.channel.close()
            raise
        self.began = time.monotonic()
        self.arrivals: list[tuple[int, float]] = []
        self.answers: queue.Queue = queue.Queue()
        self.spoken: dict[int, float] = {}
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def send(self, **request) -> None:
        self.outbox.put(self.messages.SpeakRequest(**request))

    def say(self, utterance: int, seconds: float, end: bool = True) -> None:
        have = len(self.audio) // 2 / self.rate
        audio = self.audio * (int(seconds / have) + 1)
        chunk = self.messages.AudioChunk(
            utterance=utterance, data=audio[: int(seconds * self.rate) * 2]
        )
        self.send(audio=chunk)
        if end:
            self.send(end=self.messages.EndUtterance(utterance=utterance))

    def read(self) -> None:
        with contextlib.suppress(grpc.RpcError):
            for answer in self.call:
                now = time.monotonic()
                kind = answer.WhichOneof("event")
                if kind == "frame":
                    self.arrivals.append((answer.frame.index, now))
                    self.spoken.setdefault(answer.frame.utterance, now)
                elif kind in ("cleared", "finished"):
                    self.answers.put((kind, now))

    def wait_for(self, wanted: str) -> float:
        while True:
            kind, when = self.answers.get(timeout=60)
            if kind == wanted:
                return when

    def stop(self) -> None:
        self.call.cancel()
        self.outbox.put(None)
        self.reader.join()
        self.channel.close()

    def lateness(self) -> list[float]:
        offsets = [when - index / FPS for index, when in self.arrivals]
        return [offset - min(offsets) for offset in offsets]


def first_frames(server, wire, avatar: str, audio: bytes, rate: int) -> list[float]:
    speaker = Speaker(server, wire, avatar, audio, rate)
    found = []
    for utterance in range(1, FIRST_FRAMES + 1):
        sent = time.monotonic()
        speaker.say(utterance, 1.0)
        speaker.wait_for("finished")
        found.append(speaker.spoken[utterance] - sent)
        time.sleep(0.2)
    speaker.stop()
    return found


def barge_ins(speaker: Speaker, first_utterance: int) -> list[float]:
    found = []
    for i in range(CLEARS):
        speaker.say(first_utterance + i, 3.0, end=False)
        time.sleep(0.3)
        sent = time.monotonic()
        speaker.send(clear=speaker.messages.ClearSpeech(request=i))
        found.append(speaker.wait_for("cleared") - sent)
    return found


def crowd(server, wire, avatar: str, audio: bytes, rate: int, seconds: float) -> dict:
    """As many as it lets in, all speaking."""
    assert served.wait_until(lambda: server.metric("sessions") == 0)
    speakers: list[Speaker] = []
    refusal = ""
    while not refusal and len(speakers) < 200:
        try:
            speakers.append(Speaker(server, wire, avatar, audio, rate))
            speakers[-1].say(1, min(110.0, seconds + 80))
            time.sleep(1.5)  # its work is measured before the next one asks
        except grpc.RpcError as error:
            refusal = error.details()
    for one in speakers:
        one.arrivals.clear()
    late, frames = server.metric("frames_late_total"), server.metric("frames_total")
    cpu, own = cpu_s(server.process.pid), time.process_time()
    time.sleep(seconds)
    found = {
        "sessions": len(speakers),
        "refused_because": refusal,
        "late": server.metric("frames_late_total") - late,
        "frames": server.metric("frames_total") - frames,
        "server_cpu_share": round((cpu_s(server.process.pid) - cpu) / seconds, 3),
        "client_cpu_share": round((time.process_time() - own) / seconds, 3),
    }
    found["lateness_ms"] = percentiles([v for one in speakers for v in one.lateness()])
    clearing = speakers[0]
    clearing.send(clear=clearing.messages.ClearSpeech(request=999))
    clearing.wait_for("cleared")
    found["barge_in_ms"] = percentiles(barge_ins(clearing, 2))
    with ThreadPoolExecutor(len(speakers)) as pool:
        list(pool.map(Speaker.stop, speakers))
    return found


def render_cpu(avatar: Path, audio: bytes, rate: int) -> float:
    command = [lab.BINARY, "render", "--avatar", avatar, "-", "--rate", str(rate)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory(prefix="lipcast-") as folder:
        command += ["--quality", "75", "-o", Path(folder) / "%06d.jpg"]
        subprocess.run(command, input=audio, check=True, capture_output=True, cwd=ROOT)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return sum(after[:2]) - sum(before[:2])


def serve_cpu(server, wire, avatar: str, audio: bytes, rate: int) -> float:
    before = cpu_s(server.process.pid)
    requests = served.requests_of(wire, audio, rate, 1 << 16, avatar, file_pace=True)
    frames = served.frames_of(served.speak(server, wire, requests))
    assert len(frames) == -(-len(audio) // 2 * FPS // rate), len(frames)
    return cpu_s(server.process.pid) - before


def overhead(server, wire, name: str, avatar, audio: bytes, rate: int) -> dict:
    """CPU of the frames of 2..12 s, interleaved, three times."""
    short, long = audio[: 4 * rate], (audio * 20)[: 24 * rate]
    rendered, sent = [], []
    for _ in range(3):
        parts = [render_cpu(avatar, one, rate) for one in (short, long)]
        rendered.append(parts[1] - parts[0])
        parts = [serve_cpu(server, wire, name, one, rate) for one in (short, long)]
        sent.append(parts[1] - parts[0])
    ratio = statistics.median(sent) / statistics.median(rendered)
    return {
        "render_cpu_s": [round(one, 3) for one in rendered],
        "serve_cpu_s": [round(one, 3) for one in sent],
        "serve_over_render": round(ratio, 4),
    }


def measure(name: str, root: Path, wire, seconds: float) -> dict:
    audio, rate = served.pcm()
    demo = name == "demo"
    if not demo:
        make_random(root / name, int(name))
    roots = ROOT / "avatars" if demo else root
    with served.serving("--avatars", roots, preload=name) as server:
        capacity = server.greeting.strip().splitlines()[-1]
        # Its pictures are decoded and its faces cut once, before anything is timed.
        serve_cpu(server, wire, name, (audio * 20)[: 60 * rate], rate)
        first = percentiles(first_frames(server, wire, name, audio, rate))
        cpu = overhead(server, wire, name, roots / name, audio, rate)
        found = crowd(server, wire, name, audio, rate, seconds)
    return {"says": capacity, "first_frame_ms": first, "cpu": cpu, "crowd": found}


def show(name: str, found: dict) -> None:
    crowded, cpu = found["crowd"], found["cpu"]

    def ms(values: dict) -> str:
        return ", ".join(f"{k} {v:g}" for k, v in values.items()) + " ms"

    print(f"{name}: {found['says']}")
    print(
        f"  sessions     {crowded['sessions']} let in; {crowded['late']:.0f} of "
        f"{crowded['frames']:.0f} frames late; server {crowded['server_cpu_share']:.2f} "
        f"and client {crowded['client_cpu_share']:.2f} cores"
    )
    print(f"  then         {crowded['refused_because']}")
    print(f"  lateness     {ms(crowded['lateness_ms'])}")
    print(f"  first frame  {ms(found['first_frame_ms'])}")
    print(f"  barge-in     {ms(crowded['barge_in_ms'])}")
    print(
        f"  CPU          {cpu['serve_over_render']:.3f} of lipcast render "
        f"({cpu['serve_cpu_s']} against {cpu['render_cpu_s']} s)",
        flush=True,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--avatars", default="demo,160,320")
    options = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory(prefix="lipcast-") as scratch:
        (Path(scratch) / "wire").mkdir()
        wire = wire_into(Path(scratch) / "wire")
        for name in options.avatars.split(","):
            results[name] = measure(name, Path(scratch), wire, options.seconds)
            if not options.json:
                show(name, results[name])
    if options.json:
        print(json.dumps(results, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
