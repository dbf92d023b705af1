"""What both clients do the same way: channels, openings, renders."""

from __future__ import annotations

import ipaddress
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import grpc

from lipcast_client import _wire, errors, values
from lipcast_client.audio import BytesSource, piece_of
from lipcast_client.values import AudioFormat, Idle, Rendered, VideoFormat

Pem = bytes | str | os.PathLike[str] | None
"""PEM bytes, or the path of a file."""
UPLOAD_BYTES = 1 << 18


def channel_options(max_message_bytes: int) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 2_000),
    ]


def _is_loopback(target: str) -> bool:
    if target.startswith("unix:"):
        return True
    host = target.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _pem(value: Pem) -> bytes | None:
    return value if value is None or isinstance(value, bytes) else Path(value).read_bytes()


def credentials(target: str, token: str | None, tls: bool | None, ca: Pem, cert: Pem, key: Pem) -> Any:
    """None: plain text. A token in plain text stays on this machine."""
    if tls is None:
        tls = any(pem is not None for pem in (ca, cert, key))
    if (cert is None) != (key is None):
        raise errors.InvalidRequest("cert and key: want both or none")
    if not tls:
        if ca is not None or cert is not None:
            raise errors.InvalidRequest("tls=False with ca, cert or key: want tls=True or none of them")
        if token is not None and not _is_loopback(target):
            raise errors.InvalidRequest(f"token without TLS for {target}: want tls=True, or a loopback address")
        return None
    return grpc.ssl_channel_credentials(_pem(ca), _pem(key), _pem(cert))


def metadata(token: str | None) -> tuple[tuple[str, str], ...]:
    if token is None:
        return ()
    if not token.isascii() or not token.isprintable() or not token:
        raise errors.InvalidRequest("token: want printable ASCII")
    return (("authorization", f"Bearer {token}"),)


def named(message: str, name: str) -> Any:
    request = _wire.message(message)()
    try:
        request.name = name
    except (TypeError, ValueError) as error:
        raise errors.InvalidRequest(f"avatar name {name!r}: {error}") from error
    return request


class Upload:
    """The requests of one render, made as they are sent. `error`: why they stopped early."""

    def __init__(
        self,
        sound: Any,
        avatar: str,
        audio: AudioFormat | None,
        video: VideoFormat,
        start_frame: int,
        idle: Idle,
        crf: int,
    ) -> None:
        self.error: Exception | None = None
        values.check_kinds("render", audio or AudioFormat(), video, values.SoundFormat.INPUT, idle)
        self._open = _wire.RenderRequest()
        open_ = self._open.open
        try:
            open_.avatar, open_.mp4, open_.start_frame = avatar, True, start_frame
            open_.idle, open_.crf = idle.value, crf
            values.fill_video(open_.video, video)
            open_.video.ClearField("format")  # an MP4 has its own
            if audio is not None:
                values.fill_audio(open_.audio, audio)
        except (TypeError, ValueError) as error:
            raise errors.InvalidRequest(f"render: {error}") from error
        self._file: IO[bytes] | None = None
        if isinstance(sound, (str, os.PathLike)) and audio is None:
            self._file = Path(sound).open("rb")  # noqa: SIM115
            self._take: Callable[[int], bytes] = self._file.read
        elif audio is None:
            if not isinstance(sound, (bytes, bytearray, memoryview)):
                raise errors.InvalidAudio(f"{type(sound).__name__} without a format: want audio=AudioFormat(..)")
            self._take = BytesSource(bytes(sound)).take
        else:
            self._take = piece_of(sound, audio).take

    def __iter__(self) -> Iterator[Any]:
        yield self._open
        try:
            while data := self._take(UPLOAD_BYTES):
                request = _wire.RenderRequest()
                request.audio = data
                yield request
        except OSError as error:
            self.error = error
            raise

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


class Download:
    """What comes back of one render. A file appears under its name when it is whole."""

    def __init__(self, output: str | os.PathLike[str] | None, progress: Callable[[int, int], None] | None) -> None:
        self._output = None if output is None else Path(output)
        self._progress = progress
        self._bytes = bytearray()
        self._warnings: list[str] = []
        self._done: Any = None
        self._file: Any = None
        if self._output is not None:
            self._file = tempfile.NamedTemporaryFile(  # noqa: SIM115
                dir=self._output.parent, prefix=f".{self._output.name}.", delete=False
            )

    def take(self, answer: Any) -> None:
        kind = answer.WhichOneof("event")
        if kind == "file":
            if self._file is not None:
                self._file.write(answer.file)
            else:
                self._bytes += answer.file
        elif kind == "progress" and self._progress:
            self._progress(answer.progress.frames, answer.progress.total_frames)
        elif kind == "warning":
            self._warnings.append(answer.warning.message)
        elif kind == "done":
            self._done = answer.done

    def finish(self) -> Rendered:
        if self._done is None:
            raise errors.ServerFault("render: the answer ended without its report")
        if self._file is not None and self._output is not None:
            self._file.close()
            umask = os.umask(0)
            os.umask(umask)
            made = Path(self._file.name)
            made.chmod(0o666 & ~umask)
            made.replace(self._output)
            self._file = None
        wall = self._done.wall.seconds + self._done.wall.nanos / 1e9
        return Rendered(self._done.frames, wall, self._done.provider, bytes(self._bytes), tuple(self._warnings))

    def abandon(self) -> None:
        if self._file is not None:
            self._file.close()
            Path(self._file.name).unlink(missing_ok=True)
            self._file = None
