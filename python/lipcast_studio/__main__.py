"""`lipcast avatar ...`, or `python -m lipcast_studio ...`: avatars from trained models, made faster, packed."""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

from . import archive
from .archive import find_avatar
from .errors import EXIT_FAILURE, EXIT_INTERRUPTED, EXIT_OUTPUT, EXIT_UNAVAILABLE, EXIT_USAGE, StudioError

_ONE_WISH_S = 0.5  # a terminal and a parent may both pass on one Ctrl-C


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise StudioError(f"{message} ({self.prog} --help)", EXIT_USAGE)


def parser() -> argparse.ArgumentParser:
    """All commands with their options; a wrong one raises StudioError."""
    top = _Parser(prog="lipcast avatar", description="Make avatars, make them faster, pack and list them.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add = commands.add_parser("import", help="a trained model with its pictures -> an avatar")
    add.add_argument("source", type=Path, help="SyncTalk_2D or Ultralight folder, ONNX package, or Wav2Lip's .pth or .onnx")
    add.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    add.add_argument("--checkpoint", type=Path, metavar="FILE", help="U-Net, .pth or .onnx; else looked for in SOURCE")
    add.add_argument("--audio-encoder", type=Path, metavar="FILE", help="ave encoder, HuBERT or WeNet; else looked for in SOURCE")
    add.add_argument(
        "--video", type=Path, metavar="FILE", help="Wav2Lip: the person, a video, one picture or a LiveTalking folder"
    )
    add.add_argument("--box", metavar="X,Y,W,H", help="Wav2Lip: the face, forehead to just below the chin; else looked for")
    add.add_argument("--boxes", type=Path, metavar="FILE.json", help="Wav2Lip: its boxes, as an avatar's boxes.json")
    add.add_argument("--pads", metavar="T,B,L,R", help="Wav2Lip: pixels around a face that is looked for; else 0,10,0,0")
    add.add_argument("--name", help="the avatar's name; else the name of DIR")
    add.add_argument("--licence", default="", help="SPDX identifier or a sentence")
    add.add_argument("--overwrite", action="store_true", help="replace an avatar that exists")
    add = commands.add_parser("create", help="a video of a person who speaks -> an avatar")
    add.add_argument("video", type=Path, help="one person, facing the camera, speaking; a minute or two is good")
    add.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    add.add_argument("--check", action="store_true", help="only say which frames are of use, and train nothing")
    add.add_argument("--fast", action="store_true", help="size s and few steps: within an hour on two cores")
    add.add_argument(
        "--size", choices=["s", "m", "l"], help="of the image net: s or m (160 px), l (320 px); else m, s with --fast"
    )
    add.add_argument("--audio-steps", type=int, metavar="N", help="most training steps of the audio stage; else by size")
    add.add_argument("--image-steps", type=int, metavar="N", help="most training steps of the image stage; else by size")
    add.add_argument("--base", metavar="AVATAR", help="avatar whose hearing is the start, or none; else the demo's")
    add.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto", help="what trains")
    add.add_argument("--threads", type=int, default=0, metavar="N", help="0 is one a core")
    add.add_argument("--name", help="the avatar's name; else the name of DIR")
    add.add_argument("--licence", default="", help="SPDX identifier or a sentence")
    add.add_argument("--overwrite", action="store_true", help="replace an avatar that exists")
    add.add_argument("--work", type=Path, metavar="DIR", help="folder of an unfinished run; else DIR.work beside DIR")
    add.add_argument("--keep-work", action="store_true", help="leave that folder when all is done")
    add.add_argument("--restart", action="store_true", help="throw away an unfinished run and begin anew")
    add = commands.add_parser("pack", help="an avatar folder -> one .zip")
    add.add_argument("folder", type=Path, metavar="DIR", help="folder of an avatar package, or its name")
    add.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.zip")
    add.add_argument("--overwrite", action="store_true", help="replace a file that exists")
    add = commands.add_parser("unpack", help="an avatar's .zip -> a folder")
    add.add_argument("source", type=Path, metavar="FILE.zip")
    add.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    add.add_argument("--overwrite", action="store_true", help="replace an avatar that exists")
    add = commands.add_parser("list", help="which avatars there are")
    add.add_argument("folder", type=Path, nargs="?", metavar="FOLDER", help="that holds them; else where render -a NAME looks")
    add = commands.add_parser("optimise", help="make an avatar's generator faster")
    add.add_argument("folder", type=Path, metavar="DIR", help="folder of an avatar package, or its name")
    add.add_argument("--overwrite", action="store_true", help="replace the networks an earlier run made")
    add.add_argument("--exact", action="store_true", help="the whole network's output to the bit: no convolution is taken apart")
    add.add_argument("--audio", type=Path, metavar="FILE.wav", help="the person's speech; else a .wav in DIR")
    add.add_argument(
        "--require-psnr", type=_decibels, metavar="DB",
        help="draw in 8 bits if that is faster and held-out frames keep this PSNR",
    )  # fmt: skip
    add = commands.add_parser("info", help="what an avatar holds: lipcast inspect, its networks, what was measured of them")
    add.add_argument("folder", type=Path, metavar="DIR", help="folder of an avatar package, or its name")
    add.add_argument("--json", action="store_true", help="print JSON")
    add = commands.add_parser("verify", help="does an avatar speak in time, close its mouth, show no seam?")
    add.add_argument("folder", type=Path, metavar="DIR", help="folder of an avatar package, or its name")
    add.add_argument("-o", "--output", type=Path, metavar="REPORT_DIR", help="folder for report.html, report.png, verify.json")
    add.add_argument("--against", type=Path, metavar="FOLDER", help="reference frames, numbered, to compare with")
    add.add_argument("--audio", type=Path, metavar="FILE", help="speak this; else truth clips, or a sentence")
    add.add_argument("--json", action="store_true", help="print JSON")
    add.add_argument("--overwrite", action="store_true", help="replace a report that exists")
    return top


def _decibels(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 100:
        raise argparse.ArgumentTypeError(f"{text}: want more than 0 and at most 100 dB")
    return value


_NETWORKS = (".pth", ".pt", ".onnx")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _import(args: argparse.Namespace) -> None:
    package = {"name": args.name, "licence": args.licence, "overwrite": args.overwrite}
    if args.source.is_file():
        from .import_wav2lip import import_wav2lip

        if args.video is None:
            network = args.source.suffix.lower() in _NETWORKS
            wanted = "a network alone; want --video with the person (Wav2Lip), or its training folder as SOURCE"
            other = "want a training folder, or a Wav2Lip network with --video; lipcast avatar create takes a video"
            raise StudioError(f"{args.source}: {wanted if network else other}", EXIT_USAGE)
        if args.checkpoint or args.audio_encoder:
            raise StudioError("--checkpoint and --audio-encoder go with a folder; Wav2Lip's network is SOURCE", EXIT_USAGE)
        where = {"box": args.box, "boxes": args.boxes, "pads": args.pads}
        import_wav2lip(args.source, args.video, args.output, _say, **where, **package)
        return
    from .import_synctalk import import_synctalk

    for flag in ("video", "box", "boxes", "pads"):
        if getattr(args, flag) is not None:
            raise StudioError(f"--{flag} goes with Wav2Lip's .pth or .onnx as SOURCE; {args.source} is none", EXIT_USAGE)
    import_synctalk(args.source, args.output, _say, checkpoint=args.checkpoint, audio_encoder=args.audio_encoder, **package)


def _run(arguments: Sequence[str]) -> int:
    args = parser().parse_args(arguments)
    if args.command == "import":
        _import(args)
        return 0
    if args.command == "create":
        from .create.create_avatar import create
        from .create.options import options_of

        options = options_of(
            args.size, args.fast, args.audio_steps, args.image_steps, args.base, args.device, args.threads,
        )  # fmt: skip
        create(
            args.video, args.output, _say, options, name=args.name, licence=args.licence, overwrite=args.overwrite,
            work=args.work, keep_work=args.keep_work, restart=args.restart, check_only=args.check,
        )  # fmt: skip
        return 0
    if args.command == "optimise":
        from .optimise.optimise_package import Wishes, optimise

        wishes = Wishes(exact=args.exact, overwrite=args.overwrite, audio=args.audio, require_psnr_db=args.require_psnr)
        print(optimise(find_avatar(args.folder), wishes))
        return 0
    if args.command == "info":
        from .info import info, lines

        report = info(find_avatar(args.folder))
        print(json.dumps(report, indent=2, ensure_ascii=False) if args.json else "\n".join(lines(report)))
        return 0
    if args.command == "verify":
        from .verify.verify_package import verify

        passed, said = verify(
            find_avatar(args.folder), _say, against=args.against, audio=args.audio, output=args.output,
            overwrite=args.overwrite, as_json=args.json,
        )  # fmt: skip
        print(said)
        return 0 if passed else EXIT_FAILURE
    if args.command == "pack":
        archive.pack(find_avatar(args.folder), args.output, args.overwrite)
    elif args.command == "unpack":
        archive.unpack(args.source, args.output, args.overwrite)
    else:
        for line in archive.describe([args.folder] if args.folder else archive.roots()):
            print(line)
    return 0


@contextmanager
def _signals_as_interrupts() -> Iterator[None]:
    """SIGINT and SIGTERM raise KeyboardInterrupt, so that what was begun is tidied away. One that is ignored stays so.

    Two within half a second are one wish: the second does not end the tidying.
    """
    last_s = float("-inf")

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal last_s
        before_s, last_s = last_s, time.monotonic()
        if last_s - before_s > _ONE_WISH_S:
            raise KeyboardInterrupt

    here = threading.current_thread() is threading.main_thread()  # only there can they be handled
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM) if here}
    before = {n: handler for n, handler in handlers.items() if handler in (signal.SIG_DFL, signal.default_int_handler)}
    for number in before:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; every failure is one line on standard error and its exit code."""
    try:
        with _signals_as_interrupts():
            return _run(sys.argv[1:] if arguments is None else arguments)
    except StudioError as error:
        print(f"lipcast: {error}", file=sys.stderr)
        return error.code
    except OSError as error:
        print(f"lipcast: {error}", file=sys.stderr)
        return EXIT_OUTPUT
    except ModuleNotFoundError as error:
        install = shlex.join([sys.executable, "-m", "pip", "install", str(Path(__file__).parents[1])])
        wanted = f"`make studio` in the source tree, or {install}"
        print(f"lipcast: {sys.executable}: Python package {error.name} is missing: {wanted}", file=sys.stderr)
        return EXIT_UNAVAILABLE
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
