"""Interrupts: says one WAV, clears it after a second of it, says another."""

import argparse
import time

from lipcast_client import AudioFormat, Client

arguments = argparse.ArgumentParser(description=__doc__)
arguments.add_argument("wav")
arguments.add_argument("second_wav", nargs="?")
arguments.add_argument("--after", type=float, default=1.0, metavar="SECONDS")
arguments.add_argument("--server", default="127.0.0.1:50051")
arguments.add_argument("--avatar", default="demo")
asked = arguments.parse_args()

sound_format = AudioFormat.of(asked.wav)
with (
    Client(asked.server) as client,
    client.speak(asked.avatar, audio=sound_format) as session,
):
    old = session.say(asked.wav)
    new, heard, after, new_frames = None, 0, 0, 0
    for frame in session:
        if new is None:
            if old.finished:
                raise SystemExit(f"{asked.wav}: over before {asked.after} s")
            heard += frame.utterance == old.id
            if heard >= asked.after * session.opened.fps:
                begun = time.monotonic()
                cleared = session.clear("the user speaks")
                took_ms = 1000 * (time.monotonic() - begun)
                print(
                    f"cleared in {took_ms:.1f} ms, {cleared.played_seconds:.2f} s were played"
                )
                new = session.say(asked.second_wav or asked.wav)
                session.close()
        else:
            after += frame.utterance == old.id
            new_frames += frame.utterance == new.id
    played = new.wait().played_seconds if new else 0
print(f"frames of the old utterance that followed: {after}")
print(f"frames of the new one: {new_frames}, {played:.2f} s of it played")
