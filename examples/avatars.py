"""Lists the avatars; with a WAV, each of them speaks it in turn."""

import argparse

from lipcast_client import AudioFormat, Client, LipcastError

arguments = argparse.ArgumentParser(description=__doc__)
arguments.add_argument("wav", nargs="?")
arguments.add_argument("--server", default="127.0.0.1:50051")
asked = arguments.parse_args()

with Client(asked.server) as client:
    for avatar in client.avatars():
        try:
            loaded = client.load_avatar(avatar.name)
        except LipcastError as error:
            print(f"{avatar.name}: {error}")
            continue
        print(
            f"{loaded.name}: {loaded.width}x{loaded.height}, {loaded.fps} frames/s, {loaded.frame_count} frames"
        )
        if not asked.wav:
            continue
        with client.speak(
            avatar.name, audio=AudioFormat.of(asked.wav), file_pace=True
        ) as session:
            utterance = session.say(asked.wav)
            session.close()
            count = sum(1 for _ in session)
        print(
            f"{loaded.name}: spoke {utterance.wait().played_seconds:.2f} s in {count} frames"
        )
