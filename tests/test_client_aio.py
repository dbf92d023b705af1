"""The asyncio half of python/lipcast_client against the real server: waiting, stopping, failing."""

import asyncio
import subprocess
import sys

import pytest
from lipcast_client import (
    AsyncClient,
    AudioFormat,
    Cancelled,
    Client,
    DeadlineExceeded,
    Finished,
    FramesUnread,
    InvalidAudio,
    NotFound,
    SourceFailed,
    Unavailable,
    WrongOrder,
)

from tests import lab
from tests.served import pcm, serving, wait_until


@pytest.fixture
def target(server):
    name = f"127.0.0.1:{server.grpc_port}"
    with Client(name) as client:
        assert wait_until(lambda: client.info().sessions == 0, 20)
    return name


def with_client(target, work):
    """Runs work(client) to its end; no task may be left of it."""

    async def main():
        async with AsyncClient(target) as client:
            await work(client)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if left:
            await asyncio.wait(left, timeout=5)
        assert not (asyncio.all_tasks() - {asyncio.current_task()})

    asyncio.run(main())


def test_clear_while_another_task_takes_the_frames(target):
    audio, rate = pcm()

    async def work(client):
        async with client.speak(audio=AudioFormat(rate)) as session:
            said, frames = await session.say(audio), []

            async def take():
                async for frame in session:
                    frames.append(frame)

            taking = asyncio.create_task(take())
            while not said.started:
                await asyncio.sleep(0.02)
            await asyncio.sleep(0.3)
            cleared = await session.clear()
            assert cleared.utterance == said.id
            samples, seconds = cleared.played_samples, cleared.played_seconds
            assert await said == Finished(said.id, samples, seconds, True)
            assert not await said.send(bytes(640))
            async with await session.utterance() as short:
                assert await short.send(bytes(6400))
            session.close()
            assert (await short).played_samples == 3200
            await taking
            assert [f.index for f in frames] == list(range(len(frames)))

    with_client(target, work)


def test_a_task_that_is_cancelled_ends_its_session(target):
    async def work(client):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5), client.speak() as session:
                async for _ in session:
                    pass
        async with client.speak(file_pace=True) as session:
            said = await session.utterance()
            asyncio.get_running_loop().call_later(0.2, session.cancel)
            assert [f async for f in session] == []
            with pytest.raises(Cancelled):
                await said
        async with client.speak(timeout=3, file_pace=True) as session:
            with pytest.raises(DeadlineExceeded):
                _ = [f async for f in session]

    with_client(target, work)


def test_frames_that_nobody_takes_are_bounded_and_named(target):
    audio, rate = pcm()

    async def work(client):
        format_ = AudioFormat(rate)
        async with client.speak(
            audio=format_, file_pace=True, buffer_frames=5
        ) as session:
            said = await session.say(audio * 20)
            with pytest.raises(FramesUnread, match="5 frames wait"):
                await said.wait(60)
            assert said._said.sent_bytes < 8 * rate * 2
            assert (await session.clear()).utterance == said.id

    with_client(target, work)


def test_errors_have_their_types(target, tmp_path):
    async def broken():
        yield bytes(640)
        raise RuntimeError("no more voice")

    async def work(client):
        with pytest.raises(NotFound, match="nobody"):
            async with client.speak("nobody"):
                pass
        with pytest.raises(WrongOrder, match="async with"):
            await client.speak().say(b"")
        async with client.speak(file_pace=True) as session:
            with pytest.raises(InvalidAudio):
                await session.say(5)
            first, second = await session.say(broken()), await session.say(bytes(640))
            session.close()
            with pytest.raises(SourceFailed, match="no more voice"):
                _ = [f async for f in session]
            _ = [f async for f in session]
            with pytest.raises(SourceFailed):
                await first
            assert (await second).played_samples == 320

    with_client(target, work)


def test_a_server_that_dies_is_a_clean_error():
    with serving() as server:

        async def work(client):
            async with client.speak() as session:
                said = await session.say(bytes(320000))
                frames = aiter(session)
                await anext(frames)
                server.process.kill()
                with pytest.raises(Unavailable):
                    async for _ in frames:
                        pass
                for call in (said.wait, session.clear, client.info, client.avatars):
                    with pytest.raises(Unavailable):
                        await call()

        with_client(f"127.0.0.1:{server.grpc_port}", work)


@pytest.mark.parametrize(
    "program",
    [
        "session = Client(target).speak(); session.say(bytes(64000))",
        "c = Client(target); session = c.speak(); next(iter(session)); del session, c",
        "async def main():\n"
        "    client = AsyncClient(target)\n"
        "    session = await client.speak().__aenter__()\n"
        "    await session.say(bytes(64000))\n"
        "asyncio.run(main())",
    ],
)
def test_a_program_that_closes_nothing_ends_all_the_same(target, program):
    source = "import asyncio\nfrom lipcast_client import AsyncClient, Client\n"
    source += f"target = {target!r}\n{program}\nprint('the end')\n"
    done = subprocess.run(
        [sys.executable, "-c", source],
        env={"PYTHONPATH": str(lab.ROOT / "python"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.stdout == "the end\n" and done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
