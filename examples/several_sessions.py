"""Several sessions of one program, by asyncio: each speaks the WAV, as fast as they share the server."""

import argparse
import asyncio
import hashlib
import time

from lipcast_client import AsyncClient, AudioFormat

arguments = argparse.ArgumentParser(description=__doc__)
arguments.add_argument("wav")
arguments.add_argument("-n", "--sessions", type=int, default=3)
arguments.add_argument("--server", default="127.0.0.1:50051")
arguments.add_argument("--avatar", default="demo")
asked = arguments.parse_args()


async def speak(client: AsyncClient, number: int) -> str:
    begun, digest, frames = time.monotonic(), hashlib.sha256(), 0
    async with client.speak(
        asked.avatar, audio=AudioFormat.of(asked.wav), file_pace=True
    ) as session:
        utterance = await session.say(asked.wav)
        session.close()
        async for frame in session:
            digest.update(frame.picture)
            frames += 1
    finished = await utterance
    took = time.monotonic() - begun
    print(
        f"session {number}: {frames} frames, {finished.played_seconds:.2f} s of sound, in {took:.2f} s"
    )
    return digest.hexdigest()


async def main() -> None:
    async with AsyncClient(asked.server) as client:
        digests = await asyncio.gather(
            *(speak(client, i + 1) for i in range(asked.sessions))
        )
    print(
        "all showed the same pictures"
        if len(set(digests)) == 1
        else "the pictures differ"
    )


asyncio.run(main())
