"""The client for asyncio: the same calls, to be awaited. Everything belongs to one event loop."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Generator, Iterable
from typing import Any

import grpc

from lipcast_client import _calls, _wire, errors, values
from lipcast_client._session import Opening, Said, SessionCore, UtteranceFacts
from lipcast_client.audio import piece_of, source_of
from lipcast_client.client import MESSAGE_BYTES
from lipcast_client.values import Avatar, Cleared, Event, Finished, Frame, Rendered, ServerInfo


class Utterance(UtteranceFacts):
    """One thing that is said. `await utterance` waits until it was played, or cleared."""

    def __init__(self, session: Session, said: Said) -> None:
        super().__init__(said)
        self._session = session

    async def send(self, sound: Any, timeout: float | None = None) -> bool:
        """Adds a piece: bytes cut anywhere, an array, a WAV file. Waits while 1 MiB of it is unsent.

        False: it was cleared meanwhile, the piece is dropped.
        """
        return await self._session._send(self._said, sound, timeout)

    def end(self) -> None:
        """Nothing more will be added: it can be spoken to its end."""
        self._session._end(self._said)

    async def wait(self, timeout: float | None = None) -> Finished:
        """Until it was played, or cleared. Some task must take the frames meanwhile, else FramesUnread.

        In file pace the last frames, and so this, come with the next utterance or `close`.
        """
        return await self._session._wait_finished(self._said, timeout)

    def __await__(self) -> Generator[Any, None, Finished]:
        return self.wait().__await__()

    async def __aenter__(self) -> Utterance:
        return self

    async def __aexit__(self, *_: object) -> None:
        if not self._session._core.over:
            self.end()


class Session:
    """A stream: sound in, frames out. `async with client.speak(..) as session` opens it; it ends by
    `close` and the last frame, by `cancel`, or by leaving the block.

    Memory: `buffer_frames` frames (64 MiB at most) wait for their reader; when they are full the
    server is not read from, which then leaves out pictures (live) or waits (file pace).
    """

    def __init__(self, stub: Any, opening: Opening, timeout: float | None, open_timeout: float, meta: Any) -> None:
        self._core = SessionCore(opening)
        self._opening, self._stub = opening, stub
        self._timeout, self._open_timeout, self._meta = timeout, open_timeout, meta
        self._call: Any = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiters: set[asyncio.Future[None]] = set()

    async def __aenter__(self) -> Session:
        if self._call is not None:
            raise errors.WrongOrder("the session was opened before: speak again")
        core = self._core
        self._call = self._stub(self._requests(self._opening.request()), timeout=self._timeout, metadata=self._meta)
        self._spawn(self._read())
        try:
            if not await self._until(lambda: core.opened is not None or core.over, self._open_timeout):
                raise errors.DeadlineExceeded(f"speak: not opened within {self._open_timeout} s")
            if core.opened is None:
                raise core.lost("speak")
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stop()

    @property
    def opened(self) -> values.Opened:
        """What the server made of the opening."""
        if self._core.opened is None:
            raise errors.WrongOrder("the session is not open: want `async with`")
        return self._core.opened

    # ---- saying

    async def say(self, sound: Any, timeout: float | None = None) -> Utterance:
        """One whole utterance: bytes in the session's format, a NumPy array, a WAV file (path or
        wave.Wave_read), or an iterable of pieces: an asynchronous one is pulled by a task, another
        one by a thread. Returns at once; waits only while 64 utterances are unsent."""
        source = source_of(sound, self._core.audio)
        if source is None and not isinstance(sound, (Iterable, AsyncIterable)):
            raise errors.InvalidAudio(f"say({type(sound).__name__}): want bytes, an array, a WAV file or an iterable")
        utterance = await self.utterance(timeout)
        if source is None:
            utterance._said.fed = True
            pieces = sound if isinstance(sound, AsyncIterable) else _pulled(sound)
            self._spawn(self._feed(utterance._said, pieces))
        else:
            if self._core.put(utterance._said, source):
                utterance._said.ended = True
            self._notify()
        return utterance

    async def utterance(self, timeout: float | None = None) -> Utterance:
        """One that is sent piece by piece. Utterances are spoken in the order they were made; one
        that is not ended holds back those after it."""
        _ = self.opened
        self._core.check_can_send()
        await self._wait(lambda: self._core.room_for_utterance, timeout, "utterance")
        return Utterance(self, self._core.new_utterance())

    async def clear(self, reason: str = "", timeout: float | None = 10) -> Cleared:
        """Drops all that was not played yet, sent or not, and waits for the answer: what was cut,
        and where. At most one more frame of it follows."""
        _ = self.opened
        clearing = self._core.clear(reason)
        self._notify()
        await self._wait(lambda: clearing.answer is not None, timeout, "clear")
        assert clearing.answer is not None
        return clearing.answer

    def request_key_frame(self) -> None:
        """H.264: one of the next frames can be decoded by itself. Other pictures always can."""
        self._core.request_key_frame()
        self._notify()

    def close(self) -> None:
        """No further utterance: what was said, iterables to their end, is played, then the frames end.
        Does not wait."""
        self._core.close()
        self._notify()

    def cancel(self) -> None:
        """Ends it now."""
        if not self._core.over:
            self._core.cancelled = True
        if self._call is not None:
            self._call.cancel()
        self._notify()

    # ---- what comes back

    async def events(self) -> AsyncIterator[Event]:
        """Frames and all else, in order, until the session ends. Raises what ended it otherwise."""
        _ = self.opened
        while True:
            while not self._core.has_event and not self._core.over:
                await self._change(None)
            event = self._core.pop_event()
            self._notify()
            if event is None:
                return
            yield event

    async def __aiter__(self) -> AsyncIterator[Frame]:
        async for event in self.events():
            if isinstance(event, Frame):
                yield event

    # ---- the tasks

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _notify(self) -> None:
        waiters, self._waiters = self._waiters, set()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def _change(self, timeout: float | None) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await asyncio.wait({waiter}, timeout=timeout)
        finally:
            self._waiters.discard(waiter)

    async def _until(self, holds: Callable[[], bool], timeout: float | None) -> bool:
        until = None if timeout is None else time.monotonic() + timeout
        while not holds():
            left = 1.0 if until is None else min(1.0, until - time.monotonic())
            if left <= 0 or self._core.unread:
                return False
            await self._change(left)
        return True

    async def _wait(self, holds: Callable[[], bool], timeout: float | None, what: str) -> None:
        if not await self._until(lambda: holds() or self._core.over, timeout):
            if self._core.unread:
                raise self._core.unread_error()
            raise errors.DeadlineExceeded(f"{what}: not within {timeout} s")
        if not holds():
            raise self._core.lost(what)

    async def _send(self, said: Said, sound: Any, timeout: float | None) -> bool:
        source = piece_of(sound, self._core.audio)
        await self._wait(lambda: self._core.room_for(said), timeout, "send")
        put = self._core.put(said, source)
        self._notify()
        return put

    def _end(self, said: Said) -> None:
        said.ended = True
        self._notify()

    async def _wait_finished(self, said: Said, timeout: float | None) -> Finished:
        what = f"utterance {said.id}"
        await self._wait(lambda: said.finished is not None or said.error is not None, timeout, what)
        if said.error is not None:
            raise said.error
        assert said.finished is not None
        return said.finished

    async def _feed(self, said: Said, pieces: AsyncIterable[Any]) -> None:
        try:
            async for piece in pieces:
                if not await self._send(said, piece, None):
                    return
        except Exception as error:
            if not self._core.over and not said.cleared:
                self._core.fail(said, error)
        self._end(said)

    async def _requests(self, opening: Any) -> AsyncIterator[Any]:
        yield opening
        while True:
            while (request := self._core.next_request()) is None:
                if self._core.over or self._core.cancelled or self._core.close_sent:
                    return
                await self._change(None)
            self._notify()
            yield request

    async def _read(self) -> None:
        error: errors.LipcastError | None = None
        try:
            async for answer in self._call:
                while not self._core.has_room and not self._core.cancelled:
                    await self._change(None)
                self._core.take_answer(answer)
                self._notify()
        except grpc.RpcError as failure:
            error = errors.from_rpc(failure)
        except asyncio.CancelledError:
            self._core.cancelled = True
        except errors.LipcastError as failure:
            error = failure
        except Exception as failure:  # an answer that cannot be understood
            error = errors.ServerFault(f"an answer of the server: {type(failure).__name__}: {failure}")
            error.__cause__ = failure
        if error is not None:
            self._call.cancel()
        self._core.end(error)
        self._notify()

    async def _stop(self) -> None:
        self.cancel()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._core.end(None)
        self._notify()


async def _pulled(pieces: Iterable[Any]) -> AsyncIterator[Any]:
    iterator, end = iter(pieces), object()
    while (piece := await asyncio.to_thread(next, iterator, end)) is not end:
        yield piece


class AsyncClient:
    """A connection to one server, for one event loop; arguments as for Client."""

    def __init__(
        self,
        target: str = "127.0.0.1:50051",
        *,
        token: str | None = None,
        tls: bool | None = None,
        ca: _calls.Pem = None,
        cert: _calls.Pem = None,
        key: _calls.Pem = None,
        timeout: float = 60,
        max_message_bytes: int = MESSAGE_BYTES,
    ) -> None:
        made = _calls.credentials(target, token, tls, ca, cert, key)
        options = _calls.channel_options(max_message_bytes)
        self._meta = _calls.metadata(token)
        self._timeout = timeout
        self._channel = grpc.aio.secure_channel(target, made, options) if made else grpc.aio.insecure_channel(target, options)

    def speak(
        self,
        avatar: str = "demo",
        *,
        audio: values.AudioFormat = values.AudioFormat(),  # noqa: B008
        video: values.VideoFormat = values.VideoFormat(),  # noqa: B008
        sound: values.SoundFormat = values.SoundFormat.INPUT,
        sound_rate_hz: int = 0,
        start_frame: int = 0,
        idle: values.Idle = values.Idle.PASSTHROUGH,
        file_pace: bool = False,
        buffer_frames: int = 64,
        timeout: float | None = None,
        open_timeout: float = 60,
    ) -> Session:
        """A session, opened by `async with`. timeout: of the whole session."""
        formats = (avatar, audio, video, sound, sound_rate_hz, start_frame, idle)
        opening = Opening(*formats, file_pace, max(1, buffer_frames))
        call = _wire.stub(self._channel, "Speech", "Speak")
        return Session(call, opening, timeout, open_timeout, self._meta)

    async def render(
        self,
        sound: Any,
        avatar: str = "demo",
        output: str | os.PathLike[str] | None = None,
        *,
        audio: values.AudioFormat | None = None,
        video: values.VideoFormat = values.VideoFormat(),  # noqa: B008
        start_frame: int = 0,
        idle: values.Idle = values.Idle.PASSTHROUGH,
        crf: int = 0,
        progress: Callable[[int, int], None] | None = None,
        timeout: float | None = None,
    ) -> Rendered:
        """One MP4 of a whole sound; see Client.render."""
        upload = _calls.Upload(sound, avatar, audio, video, start_frame, idle, crf)
        download = None
        try:
            download = _calls.Download(output, progress)
            call = _wire.stub(self._channel, "Speech", "Render")(iter(upload), timeout=timeout, metadata=self._meta)
            try:
                async for answer in call:
                    download.take(answer)
            except BaseException:
                call.cancel()
                raise
            return download.finish()
        except grpc.RpcError as error:
            if upload.error:
                raise upload.error from error
            raise errors.from_rpc(error) from error
        finally:
            upload.close()
            if download is not None:
                download.abandon()

    async def avatars(self) -> list[Avatar]:
        """Every avatar that the server found."""
        answer = await self._unary("Avatars", "ListAvatars", _wire.message("ListAvatarsRequest")())
        return [values.avatar_of(a) for a in answer.avatars]

    async def load_avatar(self, name: str) -> Avatar:
        """Loads it if need be."""
        answer = await self._unary("Avatars", "LoadAvatar", _calls.named("LoadAvatarRequest", name))
        return values.avatar_of(answer.avatar)

    async def unload_avatar(self, name: str) -> None:
        """Lets go of it; running sessions keep it."""
        await self._unary("Avatars", "UnloadAvatar", _calls.named("UnloadAvatarRequest", name))

    async def replace_avatar(self, name: str) -> Avatar:
        """Reads it again for new sessions; if that fails the old one stays."""
        answer = await self._unary("Avatars", "ReplaceAvatar", _calls.named("ReplaceAvatarRequest", name))
        return values.avatar_of(answer.avatar)

    async def info(self) -> ServerInfo:
        return values.info_of(await self._unary("Server", "GetInfo", _wire.message("GetInfoRequest")()))

    async def health(self, service: str = "") -> bool:
        """Whether it serves: the server ("": takes new sessions), a service or an avatar of it, by
        the names of grpc.health.v1 (docs/protocol.md). NotFound for another."""
        answer = await self._call(_wire.health_stub(self._channel), _wire.HealthCheckRequest(service=service))
        return bool(answer.status == 1)

    async def close(self) -> None:
        """Cancels the sessions and lets go of the connection."""
        await self._channel.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _unary(self, service: str, method: str, request: Any) -> Any:
        return await self._call(_wire.stub(self._channel, service, method), request)

    async def _call(self, call: Any, request: Any) -> Any:
        try:
            return await call(request, timeout=self._timeout, metadata=self._meta)
        except grpc.RpcError as error:
            raise errors.from_rpc(error) from error
        except grpc.aio.UsageError as error:  # gRPC's way to say that the channel is closed
            raise errors.WrongOrder(f"the client is closed: {error}") from error
