"""The client for threads. Every method may be called from any thread; see Session for who waits."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any

import grpc

from lipcast_client import _calls, _wire, errors, values
from lipcast_client._session import Clearing, Opening, Said, SessionCore, UtteranceFacts
from lipcast_client.audio import piece_of, source_of
from lipcast_client.values import Avatar, Cleared, Event, Finished, Frame, Rendered, ServerInfo

MESSAGE_BYTES = 100 << 20


class Utterance(UtteranceFacts):
    """One thing that is said. Made by Session.say and Session.utterance.

    As a context manager it ends with its block; a block that raises clears nothing.
    """

    def __init__(self, session: Session, said: Said) -> None:
        super().__init__(said)
        self._session = session

    def send(self, sound: Any, timeout: float | None = None) -> bool:
        """Adds a piece: bytes cut anywhere, an array, a WAV file. Waits while 1 MiB of it is unsent.

        False: it was cleared meanwhile, the piece is dropped.
        """
        return self._session._send(self._said, sound, timeout)

    def end(self) -> None:
        """Nothing more will be added: it can be spoken to its end."""
        self._session._end(self._said)

    def wait(self, timeout: float | None = None) -> Finished:
        """Until it was played, or cleared. Somebody must take the frames meanwhile, else FramesUnread.

        In file pace the last frames, and so this, come with the next utterance or `close`.
        """
        return self._session._wait_finished(self._said, timeout)

    def __enter__(self) -> Utterance:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._session._core.over:
            self.end()


class Session:
    """A stream: sound in, frames out. Made by Client.speak, ended by `close` and the last frame,
    by `cancel`, or by leaving its `with` block.

    Thread: two of its own, one sends and one reads. All methods may be called from any thread. One
    thread at a time iterates the frames. What waits (say, send, wait, clear) can be interrupted by
    Ctrl-C and by `cancel` in another thread.
    Memory: `buffer_frames` frames (64 MiB at most) wait for their reader; when they are full the
    server is not read from, which then leaves out pictures (live) or waits (file pace).
    """

    def __init__(self, call: Any, opening: Opening, timeout: float | None, open_timeout: float, meta: Any) -> None:
        self._core = SessionCore(opening)
        self._changed = threading.Condition()
        self._call = call(self._requests(opening.request()), timeout=timeout, metadata=meta)
        threading.Thread(target=self._read, name="lipcast-session", daemon=True).start()
        try:
            with self._changed:
                core = self._core
                if not self._until(lambda: core.opened is not None or core.over, open_timeout):
                    raise errors.DeadlineExceeded(f"speak: not opened within {open_timeout} s")
                if core.opened is None:
                    raise core.lost("speak")
        except BaseException:
            self.cancel()
            raise

    @property
    def opened(self) -> values.Opened:
        """What the server made of the opening."""
        opened = self._core.opened
        assert opened is not None
        return opened

    # ---- saying

    def say(self, sound: Any, timeout: float | None = None) -> Utterance:
        """One whole utterance: bytes in the session's format, a NumPy array, a WAV file (path or
        wave.Wave_read), or an iterable of pieces (a thread of its own pulls it). Returns at once;
        waits only while 64 utterances are unsent."""
        source = source_of(sound, self._core.audio)
        if source is None and not isinstance(sound, Iterable):
            raise errors.InvalidAudio(f"say({type(sound).__name__}): want bytes, an array, a WAV file or an iterable")
        utterance = self.utterance(timeout)
        if source is None:
            utterance._said.fed = True
            name = f"lipcast-utterance-{utterance.id}"
            threading.Thread(target=self._feed, args=(utterance._said, sound), name=name, daemon=True).start()
        else:
            with self._changed:
                if self._core.put(utterance._said, source):
                    utterance._said.ended = True
                self._changed.notify_all()
        return utterance

    def utterance(self, timeout: float | None = None) -> Utterance:
        """One that is sent piece by piece. Utterances are spoken in the order they were made; one
        that is not ended holds back those after it."""
        with self._changed:
            self._core.check_can_send()
            self._wait(lambda: self._core.room_for_utterance, timeout, "utterance")
            return Utterance(self, self._core.new_utterance())

    def clear(self, reason: str = "", timeout: float | None = 10) -> Cleared:
        """Drops all that was not played yet, sent or not, and waits for the answer: what was cut,
        and where. At most one more frame of it follows."""
        with self._changed:
            clearing: Clearing = self._core.clear(reason)
            self._changed.notify_all()
            self._wait(lambda: clearing.answer is not None, timeout, "clear")
            assert clearing.answer is not None
            return clearing.answer

    def request_key_frame(self) -> None:
        """H.264: one of the next frames can be decoded by itself. Other pictures always can."""
        with self._changed:
            self._core.request_key_frame()
            self._changed.notify_all()

    def close(self) -> None:
        """No further utterance: what was said, iterables to their end, is played, then the frames end.
        Does not wait."""
        with self._changed:
            self._core.close()
            self._changed.notify_all()

    def cancel(self) -> None:
        """Ends it now."""
        with self._changed:
            if not self._core.over:
                self._core.cancelled = True
            self._changed.notify_all()
        self._call.cancel()

    # ---- what comes back

    def events(self) -> Iterator[Event]:
        """Frames and all else, in order, until the session ends. Raises what ended it otherwise."""
        while True:
            with self._changed:
                while not self._core.has_event and not self._core.over:
                    self._changed.wait()
                event = self._core.pop_event()
                self._changed.notify_all()
            if event is None:
                return
            yield event

    def __iter__(self) -> Iterator[Frame]:
        return (event for event in self.events() if isinstance(event, Frame))

    def __enter__(self) -> Session:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.cancel()

    # ---- the threads

    def _until(self, holds: Callable[[], bool], timeout: float | None) -> bool:
        """Waits, lock held. False: the time is over, or frames wait unread."""
        until = None if timeout is None else time.monotonic() + timeout
        while not holds():
            left = 1.0 if until is None else min(1.0, until - time.monotonic())
            if left <= 0 or self._core.unread:
                return False
            self._changed.wait(left)
        return True

    def _wait(self, holds: Callable[[], bool], timeout: float | None, what: str) -> None:
        if not self._until(lambda: holds() or self._core.over, timeout):
            if self._core.unread:
                raise self._core.unread_error()
            raise errors.DeadlineExceeded(f"{what}: not within {timeout} s")
        if not holds():
            raise self._core.lost(what)

    def _send(self, said: Said, sound: Any, timeout: float | None) -> bool:
        source = piece_of(sound, self._core.audio)
        with self._changed:
            self._wait(lambda: self._core.room_for(said), timeout, "send")
            put = self._core.put(said, source)
            self._changed.notify_all()
            return put

    def _end(self, said: Said) -> None:
        with self._changed:
            said.ended = True
            self._changed.notify_all()

    def _wait_finished(self, said: Said, timeout: float | None) -> Finished:
        with self._changed:
            what = f"utterance {said.id}"
            self._wait(lambda: said.finished is not None or said.error is not None, timeout, what)
            if said.error is not None:
                raise said.error
            assert said.finished is not None
            return said.finished

    def _feed(self, said: Said, pieces: Iterable[Any]) -> None:
        try:
            for piece in pieces:
                if not self._send(said, piece, None):
                    return
        except BaseException as error:
            with self._changed:
                if not self._core.over and not said.cleared:
                    self._core.fail(said, error)
        self._end(said)

    def _requests(self, opening: Any) -> Iterator[Any]:
        yield opening
        while True:
            with self._changed:
                while (request := self._core.next_request()) is None:
                    if self._core.over or self._core.cancelled or self._core.close_sent:
                        return
                    self._changed.wait()
                self._changed.notify_all()
            yield request

    def _read(self) -> None:
        error: errors.LipcastError | None = None
        try:
            for answer in self._call:
                with self._changed:
                    while not self._core.has_room and not self._core.cancelled:
                        self._changed.wait()
                    self._core.take_answer(answer)
                    self._changed.notify_all()
        except grpc.RpcError as failure:
            error = errors.from_rpc(failure)
        except errors.LipcastError as failure:
            error = failure
        except Exception as failure:  # an answer that cannot be understood
            error = errors.ServerFault(f"an answer of the server: {type(failure).__name__}: {failure}")
            error.__cause__ = failure
        if error is not None:
            self._call.cancel()
        with self._changed:
            self._core.end(error)
            self._changed.notify_all()


class Client:
    """A connection to one server; it is made when first needed, and again after it broke.

    target: "host:port". token: a bearer token. TLS: `tls=True` with the system's roots, or `ca`, and
    `cert` and `key` if the server asks for them (PEM bytes or paths). timeout: seconds for each call
    but speak and render.
    """

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
        self._channel = grpc.secure_channel(target, made, options) if made else grpc.insecure_channel(target, options)
        self._sessions: weakref.WeakSet[Session] = weakref.WeakSet()

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
        """Opens a session and waits until the server has. timeout: of the whole session."""
        formats = (avatar, audio, video, sound, sound_rate_hz, start_frame, idle)
        opening = Opening(*formats, file_pace, max(1, buffer_frames))
        call = _wire.stub(self._channel, "Speech", "Speak")
        session = Session(call, opening, timeout, open_timeout, self._meta)
        self._sessions.add(session)
        return session

    def render(
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
        """One MP4 of a whole sound. sound: the path or the bytes of a sound file of any kind, or, with
        `audio`, PCM as for Session.say. output: the file to write; else the bytes are in the answer.
        progress(frames, of how many) is called in this thread."""
        upload = _calls.Upload(sound, avatar, audio, video, start_frame, idle, crf)
        download = None
        try:
            download = _calls.Download(output, progress)
            call = _wire.stub(self._channel, "Speech", "Render")(iter(upload), timeout=timeout, metadata=self._meta)
            try:
                for answer in call:
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

    def avatars(self) -> list[Avatar]:
        """Every avatar that the server found."""
        answer = self._unary("Avatars", "ListAvatars", _wire.message("ListAvatarsRequest")())
        return [values.avatar_of(a) for a in answer.avatars]

    def load_avatar(self, name: str) -> Avatar:
        """Loads it if need be."""
        return values.avatar_of(self._unary("Avatars", "LoadAvatar", _calls.named("LoadAvatarRequest", name)).avatar)

    def unload_avatar(self, name: str) -> None:
        """Lets go of it; running sessions keep it."""
        self._unary("Avatars", "UnloadAvatar", _calls.named("UnloadAvatarRequest", name))

    def replace_avatar(self, name: str) -> Avatar:
        """Reads it again for new sessions; if that fails the old one stays."""
        request = _calls.named("ReplaceAvatarRequest", name)
        return values.avatar_of(self._unary("Avatars", "ReplaceAvatar", request).avatar)

    def info(self) -> ServerInfo:
        return values.info_of(self._unary("Server", "GetInfo", _wire.message("GetInfoRequest")()))

    def health(self, service: str = "") -> bool:
        """Whether it serves: the server ("": takes new sessions), a service or an avatar of it, by
        the names of grpc.health.v1 (docs/protocol.md). NotFound for another."""
        answer = self._call(_wire.health_stub(self._channel), _wire.HealthCheckRequest(service=service))
        return bool(answer.status == 1)

    def close(self) -> None:
        """Cancels the sessions and lets go of the connection."""
        for session in list(self._sessions):
            session.cancel()
        self._channel.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _unary(self, service: str, method: str, request: Any) -> Any:
        return self._call(_wire.stub(self._channel, service, method), request)

    def _call(self, call: Any, request: Any) -> Any:
        try:
            return call(request, timeout=self._timeout, metadata=self._meta)
        except grpc.RpcError as error:
            raise errors.from_rpc(error) from error
        except ValueError as error:  # gRPC's way to say that the channel is closed
            raise errors.WrongOrder(f"the client is closed: {error}") from error
