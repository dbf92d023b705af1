"""Speaks a WAV file as fast as it goes and keeps the frames and their sound as an MP4 (by ffmpeg)."""

import argparse
import subprocess
import tempfile
import wave
from pathlib import Path

from lipcast_client import AudioFormat, Client

arguments = argparse.ArgumentParser(description=__doc__)
arguments.add_argument("wav")
arguments.add_argument("-o", "--output", default="out.mp4")
arguments.add_argument("--server", default="127.0.0.1:50051")
arguments.add_argument("--avatar", default="demo")
asked = arguments.parse_args()

sound_format = AudioFormat.of(asked.wav)
with tempfile.TemporaryDirectory() as folder, Client(asked.server) as client:
    pictures, sound = Path(folder, "pictures.mjpeg"), Path(folder, "sound.wav")
    with client.speak(asked.avatar, audio=sound_format, file_pace=True) as session:
        session.say(asked.wav)
        session.close()
        with pictures.open("wb") as jpegs, wave.open(str(sound), "wb") as wav:
            wav.setnchannels(sound_format.channels)
            wav.setsampwidth(sound_format.sample_type.sample_bytes)
            wav.setframerate(sound_format.rate_hz)
            count = 0
            for frame in session:
                jpegs.write(frame.shown)
                wav.writeframes(frame.sound)
                count += 1
    fps = session.opened.fps
    command = ["ffmpeg", "-v", "error", "-y", "-framerate", str(fps)]
    command += ["-f", "mjpeg", "-i", str(pictures), "-i", str(sound)]
    command += ["-pix_fmt", "yuv420p", "-c:a", "aac", asked.output]
    subprocess.run(command, check=True)
print(f"{asked.output}: {count} frames at {fps} frames/s")
