#!/usr/bin/env python3
"""What a generator's variants cost on this machine, in turn in one run, printed, and with --json as one object.

    .deps/python/bin/python tools/bench_generator.py [--json] [--sizes 160,320] [--rounds 15]
        [--bench-rounds 5] [--frames 300] [--keep FOLDER] [--openvino]

For SyncTalk networks of 160 and 320 px with made-up weights, made into an avatar and given to
`lipcast avatar optimise`:
  one thread  CPU milliseconds of one frame (least of the rounds), and how many times faster than the
              whole network in ONNX Runtime (median and quartiles, round by round): the whole, its
              audio part, the same with convolutions taken apart, in 8 bits, and PyTorch eager
              (Debian's python3-torch, where there is one)
  whole       `lipcast bench --encoder jpeg`, two workers, each variant in turn: frames/s, and how many
              times faster than the whole network (of medians; and quartiles, round by round). The
              avatar has 50 frames, and its loop is seen once before frames count.
The load of the machine before and after stands beside them. --keep leaves the avatars in FOLDER and
takes those of an earlier run from there.
--openvino adds the same graphs in OpenVINO, where its Python package is installed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "python"), str(ROOT / "tests")]

import lab  # noqa: E402
import onnx  # noqa: E402
from lipcast_studio.find_torch import find_torch  # noqa: E402
from lipcast_studio.optimise import choose  # noqa: E402
from lipcast_studio.optimise.optimise_package import Wishes, optimise  # noqa: E402
from lipcast_studio.optimise.own_feeds import own_feeds  # noqa: E402
from lipcast_studio.optimise.package import Package  # noqa: E402
from lipcast_studio.optimise.split import split  # noqa: E402
from markers import avatars, synctalk  # noqa: E402

Call = Callable[[], object]
WARM_UP = 100  # the avatar has 50 frames, shown forwards and back
NAMES = {160: "synctalk_unet_160_ave", 320: "synctalk_unet_328_ave"}


def pytorch_network(side: int):
    """The project's own definition with the weights of networks/golden.json, eager, one thread."""
    find_torch()
    import torch
    from lipcast_studio import networks
    from lipcast_studio.networks.made_up import weight
    from lipcast_studio.networks.unet import UNet, UNetShape

    golden = json.loads((Path(networks.__path__[0]) / "golden.json").read_text())
    shapes = golden[NAMES[side]]["state_dict"]
    weights = {key: weight(key, shape) for key, shape in shapes.items()}
    network = UNet(UNetShape.of(weights))
    network.load_state_dict(weights)
    torch.set_num_threads(1)
    return network.eval()


def make_avatar(folder: Path, side: int, network) -> Path:
    """The network as an avatar of 1280x720 that speaks the demo's sentence."""
    import torch
    from lipcast_studio.onnx_export import export

    path = folder / "exported.onnx"
    inputs = [torch.rand(2, 6, side, side), torch.rand(2, 32, 16, 16)]
    export(network, inputs, ["input", "audio"], "output", path)
    avatar = avatars.make_avatar(
        folder / f"random{side}",
        model=onnx.load(str(path)),
        encoder=synctalk.audio_encoder()[0],
        inner=side,
        border=4,
        size=(1280, 720),
        frames=50,
        images="video",
        textured=True,
        name=f"random{side}",
    )
    shutil.copy(lab.ROOT / "avatars/demo/speech.wav", avatar)
    return avatar


def openvino_call(model: onnx.ModelProto, feed: choose.Feed) -> Call:
    """One inference of a graph by OpenVINO, one thread."""
    import openvino

    # Without the hint it computes in bfloat16 where the processor can.
    how = {
        "INFERENCE_NUM_THREADS": 1,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
    }
    core = openvino.Core()
    compiled = core.compile_model(
        core.read_model(model.SerializeToString()), "CPU", how
    )
    request = compiled.create_infer_request()
    names = [port.get_any_name() for port in compiled.inputs]
    return lambda: request.infer({name: feed[name] for name in names})


def calls_of(avatar: Path, network, with_openvino: bool) -> dict[str, Call]:
    """Each variant's work for one frame on the avatar's own feed."""
    import torch

    package = Package(avatar)
    model = package.network()
    feeds = choose.Feeds.own(
        model, own_feeds(package, None, 2, 2), package.generator["mask"]
    )
    feed = feeds.held[0]
    stored = {
        name: onnx.load(str(avatar / f"generator_{name}.onnx"))
        for name in ("image", "audio", "int8")
    }
    twin_image = avatar / "generator_int8_image.onnx"
    plain = split(model)
    graphs = {
        "full": (None, model),
        "split": (plain.image, plain.audio),
        "split + algebra": (stored["image"], stored["audio"]),
        "int8": (
            onnx.load(str(twin_image)) if twin_image.exists() else stored["image"],
            stored["int8"],
        ),
    }
    calls: dict[str, Call] = {}
    for name, (image, audio) in graphs.items():
        drawer = choose.Drawer(image, audio)
        calls[name] = drawer.every_frame(feed)
        if with_openvino:
            calls[f"{name}, OpenVINO"] = openvino_call(audio, drawer.audio_feed(feed))
    tensors = [torch.from_numpy(feed[name]) for name in ("input", "audio")]

    def eager() -> object:
        with torch.no_grad():
            return network(*tensors)

    calls["PyTorch eager"] = eager
    for call in calls.values():
        call()
    return calls


def clock_of(name: str) -> Callable[[], float]:
    """ONNX Runtime works in the caller's thread, as in the engine; PyTorch and OpenVINO also in others."""
    ours = not name.endswith(("PyTorch eager", "OpenVINO"))
    return time.thread_time if ours else time.process_time


def whole(avatar: Path, rounds: int, frames: int) -> dict[str, object]:
    """`lipcast bench --encoder jpeg` of each variant in turn."""
    found: dict[str, list[float]] = {name: [] for name in ("full", "split", "int8")}
    caches: dict[str, object] = {}
    for _ in range(rounds):
        for name, speeds in found.items():
            run = lab.lipcast(
                "bench", "-a", avatar, "--audio", avatar / "speech.wav", "--json",
                "--frames", frames, "--warm-up", WARM_UP, "--encoder", "jpeg", "--variant", name,
            )  # fmt: skip
            report = json.loads(run.stdout)
            if report["variant"] != name:
                raise SystemExit(f"{avatar}: drew with {report['variant']}, not {name}")
            speeds.append(report["fps"])
            caches[name] = report["feature_cache"]
    times = {name: [1 / fps for fps in speeds] for name, speeds in found.items()}
    return {
        name: {
            "fps": round(median(speeds), 2),
            "of_medians": round(median(speeds) / median(found["full"]), 2),
            "times_faster_than_full": choose.spread(times["full"], times[name]),
            "feature_cache": caches[name],
        }
        for name, speeds in found.items()
    }


def measure(side: int, args: argparse.Namespace) -> dict[str, object]:
    """Everything of one size."""
    with tempfile.TemporaryDirectory(prefix="lipcast-bench-") as temporary:
        folder = args.keep or Path(temporary)
        network = pytorch_network(side)
        avatar, said = folder / f"random{side}", "as optimised before"
        if not (avatar / "optimise.json").exists():
            shutil.rmtree(avatar, ignore_errors=True)
            avatar = make_avatar(folder, side, network)
            said = optimise(avatar, Wishes(require_psnr_db=1))
        load = os.getloadavg()[0]
        calls = calls_of(avatar, network, args.openvino)
        times = choose.interleaved(calls, args.rounds, clock_of)
        return {
            "optimise": said.split("\n"),
            "load": [load, os.getloadavg()[0]],
            "figures": json.loads((avatar / "optimise.json").read_text()),
            "one_thread": {
                name: {
                    "ms": round(min(values), 1),
                    "times_faster_than_full": choose.spread(times["full"], values),
                }
                for name, values in times.items()
            },
            "whole": whole(avatar, args.bench_rounds, args.frames),
        }


def show(side: int, found: dict) -> None:
    print(f"== SyncTalk {side}")
    print("\n".join(found["optimise"]))
    print(
        f"load of the machine, with this: {found['load'][0]:.1f}, {found['load'][1]:.1f}"
    )
    for name, row in found["one_thread"].items():
        ratio = row["times_faster_than_full"]
        print(
            f"{name:26} {row['ms']:8.1f} ms  {ratio['median']:5.2f}x ({ratio['low']} .. {ratio['high']})"
        )
    for name, row in found["whole"].items():
        ratio = row["times_faster_than_full"]
        print(
            f"bench, jpeg, {name:13} {row['fps']:8.2f} /s  {row['of_medians']:5.2f}x"
            f" ({ratio['low']} .. {ratio['high']})  cache {row['feature_cache']}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--sizes", default="160,320")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--bench-rounds", type=int, default=5)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--openvino", action="store_true")
    args = parser.parse_args()
    found = {}
    for side in map(int, args.sizes.split(",")):
        found[side] = measure(side, args)
        if not args.json:
            show(side, found[side])
    if args.json:
        print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
