"""`python -m lipcast_studio.demo --work DIR --out avatars/demo`: the whole avatar from nothing, stage by stage.

Each stage leaves its output in the work folder and is skipped when that is there, so an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import functools
import json
from pathlib import Path

import cv2
import torch

from . import evaluate, package, prompts, scene, speech, train_audio, train_image
from .render import Renderer


def main() -> None:
    parser = argparse.ArgumentParser(prog="lipcast_studio.demo", description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="scratch folder, about 2 GB")
    parser.add_argument("--out", type=Path, required=True, help="avatar folder to write")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--audio-steps", type=int, default=train_audio.STEPS)
    parser.add_argument("--image-steps", type=int, default=train_image.STEPS)
    parser.add_argument("--stage", choices=["speech", "audio", "pairs", "image", "package", "report", "choose"],
                        help="run this stage only (audio and image may run side by side); choose, which is no part of the "
                             "whole, tells what each gain of pressed lips does to a human voice")  # fmt: skip
    parser.add_argument("--prompts", type=Path, default=prompts.SHARE, help="where the prompts of choose are (%(default)s)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)
    log = functools.partial(print, flush=True)
    args.work.mkdir(parents=True, exist_ok=True)

    def wanted(stage: str) -> bool:
        return args.stage in (None, stage)

    if wanted("speech"):
        speech.make_all(args.work / "speech", log)
    if wanted("audio"):
        train_audio.train(args.work, args.audio_steps, log=log)
    if wanted("pairs"):
        train_image.make_pairs(args.work, log=log)
    if wanted("image"):
        train_image.train(args.work, args.image_steps, log=log)
    if wanted("package"):
        package.write_package(args.work, args.out, Renderer(scene.load_or_build(args.work)), log)
    if wanted("report"):
        found = evaluate.report(args.out, log)
        (args.work / "report.json").write_text(json.dumps(found, indent=2) + "\n")
    if args.stage == "choose":
        encoder, generator = package.load_models(args.work)
        prompts.report(encoder, generator.branch, args.prompts, log)


if __name__ == "__main__":
    main()
