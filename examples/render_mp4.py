"""Lets the server make an MP4 of a sound file of any kind."""

import argparse
import sys

from lipcast_client import Client, LipcastError

arguments = argparse.ArgumentParser(description=__doc__)
arguments.add_argument("sound")
arguments.add_argument("-o", "--output", default="out.mp4")
arguments.add_argument("--server", default="127.0.0.1:50051")
arguments.add_argument("--avatar", default="demo")
asked = arguments.parse_args()


def progress(frames: int, total: int) -> None:
    print(f"\r{frames} of {total or '?'} frames", end="", file=sys.stderr, flush=True)


with Client(asked.server) as client:
    try:
        done = client.render(asked.sound, asked.avatar, asked.output, progress=progress)
    except LipcastError as error:
        sys.exit(f"{asked.sound}: {error} ({error.code.name})")
    finally:
        print(file=sys.stderr)
print(
    f"{asked.output}: {done.frames} frames in {done.wall_seconds:.1f} s by {done.provider}"
)
for warning in done.warnings:
    print(f"warning: {warning}")
