"""Feeds sound in real time, 20 ms at a time, as a microphone does, and tells what comes back, when.

--microphone takes the real one (pip install sounddevice) until Ctrl-C.
"""

import argparse
import threading
import time
import wave
from collections.abc import Iterator

from lipcast_client import AudioFormat, Client

PIECE_SECONDS = 0.02


def wav_in_real_time(path: str) -> Iterator[bytes]:
    with wave.open(path) as wav:
        pieces = round(wav.getframerate() * PIECE_SECONDS)
        due = time.monotonic()
        while piece := wav.readframes(pieces):
            due += PIECE_SECONDS
            time.sleep(max(0.0, due - time.monotonic()))
            yield piece


def microphone(sound: AudioFormat) -> Iterator[bytes]:
    import sounddevice

    pieces = round(sound.rate_hz * PIECE_SECONDS)
    with sounddevice.RawInputStream(
        sound.rate_hz, pieces, channels=1, dtype="int16"
    ) as stream:
        while True:
            yield bytes(stream.read(pieces)[0])


arguments = argparse.ArgumentParser(description=__doc__)
arguments.add_argument("wav", nargs="?")
arguments.add_argument("--microphone", action="store_true")
arguments.add_argument("--server", default="127.0.0.1:50051")
arguments.add_argument("--avatar", default="demo")
asked = arguments.parse_args()
if asked.microphone == bool(asked.wav):
    arguments.error("want a WAV file or --microphone")

sound_format = AudioFormat(16000) if asked.microphone else AudioFormat.of(asked.wav)
feed = microphone(sound_format) if asked.microphone else wav_in_real_time(asked.wav)

with (
    Client(asked.server) as client,
    client.speak(asked.avatar, audio=sound_format) as session,
):
    first_piece = threading.Event()
    begun = 0.0

    def pieces() -> Iterator[bytes]:
        global begun
        for piece in feed:
            if not first_piece.is_set():
                begun = time.monotonic()
                first_piece.set()
            yield piece

    utterance = session.say(pieces())
    session.close()
    frames = late = speaking = 0
    try:
        for frame in session:
            frames += 1
            late += frame.repeated
            if frame.utterance and not speaking:
                print(
                    f"first frame of the voice after {time.monotonic() - begun:.2f} s"
                )
            speaking += frame.utterance != 0
    except KeyboardInterrupt:
        print()
played = (
    utterance.finished.played_seconds
    if utterance.finished
    else speaking / float(session.opened.fps)
)
print(
    f"{frames} frames, {speaking} with the voice, {late} repeated; {played:.2f} s played"
)
