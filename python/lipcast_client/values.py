"""Formats, events and facts: plain values, made from and into the messages of lipcast.v1."""

from __future__ import annotations

import enum
import io
import os
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from lipcast_client import errors

if TYPE_CHECKING:
    from PIL.Image import Image


class SampleType(enum.Enum):
    """Little-endian."""

    U8 = 1
    S16 = 2
    S24 = 3
    S32 = 4
    F32 = 5
    F64 = 6
    MULAW = 7
    ALAW = 8

    @property
    def sample_bytes(self) -> int:
        return {"S16": 2, "S24": 3, "S32": 4, "F32": 4, "F64": 8}.get(self.name, 1)


class PictureFormat(enum.Enum):
    JPEG = 1
    H264_ANNEXB = 2
    H264_AVCC = 3
    PNG = 4
    RGBA = 5
    BGR = 6
    I420 = 7
    FMP4 = 8


class SoundFormat(enum.Enum):
    """What frames carry."""

    INPUT = 1
    NONE = 2
    PCM16 = 3


class Idle(enum.Enum):
    """What silence shows: the avatar's own pictures, or the model's."""

    PASSTHROUGH = 1
    MODEL = 2


class State(enum.Enum):
    IDLE = 1
    SPEAKING = 2


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """Interleaved PCM."""

    rate_hz: int = 16000
    channels: int = 1
    sample_type: SampleType = SampleType.S16

    @staticmethod
    def of(wav: str | os.PathLike[str]) -> AudioFormat:
        """As a WAV file has it. InvalidAudio where it is none."""
        from lipcast_client import audio

        with audio.open_wav(wav) as file:
            return audio.format_of(file)

    @property
    def frame_bytes(self) -> int:
        """One sample of every channel."""
        return self.channels * self.sample_type.sample_bytes

    def __str__(self) -> str:
        return f"{self.sample_type.name} {self.rate_hz} Hz x {self.channels}"


@dataclass(frozen=True, slots=True)
class VideoFormat:
    """None: the avatar's, or the server's own."""

    format: PictureFormat = PictureFormat.JPEG
    fps: Fraction | int | None = None
    width: int | None = None
    height: int | None = None
    jpeg_quality: int | None = None
    bitrate_kbps: int | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """What the server made of the opening."""

    session: str
    avatar: str
    fps: Fraction
    width: int
    height: int
    audio: AudioFormat
    sound: AudioFormat | None
    provider: str
    codec_config: bytes
    """H264_AVCC: the avcC record; FMP4: what the movie begins with."""
    mime_type: str
    """Of FMP4, for MediaSource."""
    format: PictureFormat


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture and the sound under it."""

    index: int
    pts_seconds: float
    utterance: int
    """Whose sound this is; 0: silence."""
    speaking: bool
    repeated: bool
    """It was late or dropped: `picture` is empty, `shown` is the one before."""
    key_frame: bool
    picture: bytes = field(repr=False)
    """With FMP4 the movie's next piece, sound and all, in whatever frame there is one."""
    sound: bytes = field(repr=False)
    background: int
    """Which frame of the avatar stands behind it."""
    shown: bytes = field(repr=False)
    """What is to be seen now: `picture`, or the last one that was sent; empty before the first, and of FMP4."""
    stream: Opened = field(repr=False)

    def image(self) -> Image:
        """What is shown, as a Pillow image in RGB or RGBA. Needs Pillow (the extra `images`)."""
        from PIL import Image as pillow  # noqa: N813

        kind, size = self.stream.format, (self.stream.width, self.stream.height)
        if not self.shown:
            raise errors.WrongOrder(f"frame {self.index}: no picture was sent yet")
        if kind in (PictureFormat.JPEG, PictureFormat.PNG):
            image = pillow.open(io.BytesIO(self.shown))
            image.load()
            return image
        if kind is PictureFormat.BGR:
            return pillow.frombytes("RGB", size, self.shown, "raw", "BGR")
        if kind is PictureFormat.RGBA:
            return pillow.frombytes("RGBA", size, self.shown)
        raise errors.InvalidRequest(f"image() of {kind.name}: want JPEG, PNG, RGBA or BGR")


@dataclass(frozen=True, slots=True)
class Started:
    utterance: int


@dataclass(frozen=True, slots=True)
class Finished:
    """Once for every utterance. Samples and seconds of it that were played."""

    utterance: int
    played_samples: int
    played_seconds: float
    interrupted: bool


@dataclass(frozen=True, slots=True)
class Cleared:
    """The answer to a clear: what was cut (0: nothing was playing), and where."""

    utterance: int
    played_samples: int
    played_seconds: float


@dataclass(frozen=True, slots=True)
class StateChanged:
    state: State
    frame: int


@dataclass(frozen=True, slots=True)
class Notice:
    """A warning of the server, for people; also logged by the logger `lipcast_client`."""

    message: str


@dataclass(frozen=True, slots=True)
class MovieEnd:
    """Of FMP4: the last piece of the movie, after the last frame."""

    data: bytes = field(repr=False)


Event = Frame | Started | Finished | Cleared | StateChanged | Notice | MovieEnd


@dataclass(frozen=True, slots=True)
class AvatarStats:
    sessions: int
    sessions_opened: int
    frames: int
    generated_frames: int
    mean_generate_ms: float
    model_bytes: int
    frame_bytes: int
    loads: int
    load_seconds: float


@dataclass(frozen=True, slots=True)
class Avatar:
    """Size, rate and the like are known only while it is loaded (fps None, else 0 and "")."""

    name: str
    title: str
    loaded: bool
    width: int
    height: int
    fps: Fraction | None
    frame_count: int
    family: str
    provider: str
    problem: str
    stats: AvatarStats


@dataclass(frozen=True, slots=True)
class ServerInfo:
    version: str
    backend: str
    h264_encoder: str
    workers: int
    sessions: int
    session_limit: int
    load: float
    headroom: float
    uptime_seconds: float
    draining: bool
    upload_bytes: int


@dataclass(frozen=True, slots=True)
class Rendered:
    """A finished render. `mp4` is empty where it was written to a file."""

    frames: int
    wall_seconds: float
    provider: str
    mp4: bytes = field(repr=False)
    warnings: tuple[str, ...] = ()


def check_kinds(call: str, audio: object, video: object, sound: object, idle: object) -> None:
    """InvalidRequest for what is no format at all; what a format holds the server judges."""
    kinds = {"audio": (audio, AudioFormat), "video": (video, VideoFormat)}
    for name, (value, kind) in {**kinds, "sound": (sound, SoundFormat), "idle": (idle, Idle)}.items():
        if not isinstance(value, kind):
            raise errors.InvalidRequest(f"{call}: {name} = {value!r}: want {kind.__name__}")
    fps = video.fps if isinstance(video, VideoFormat) else None
    if not isinstance(fps, (Fraction, int, type(None))):
        raise errors.InvalidRequest(f"{call}: fps = {fps!r}: want a whole number or a Fraction, as 30000/1001")


def rational_of(message: Any) -> Fraction | None:
    return Fraction(message.num, message.den) if message.den else None


def audio_of(message: Any) -> AudioFormat:
    kind = SampleType(message.sample_type or SampleType.S16.value)
    return AudioFormat(message.rate_hz or 16000, message.channels or 1, kind)


def fill_audio(message: Any, audio: AudioFormat) -> None:
    message.rate_hz, message.channels = audio.rate_hz, audio.channels
    message.sample_type = audio.sample_type.value


def fill_video(message: Any, video: VideoFormat) -> None:
    message.format = video.format.value
    if video.fps is not None:
        fps = Fraction(video.fps)
        message.fps.num, message.fps.den = fps.numerator, fps.denominator
    for name in ("width", "height", "jpeg_quality", "bitrate_kbps"):
        if (value := getattr(video, name)) is not None:
            setattr(message, name, value)


def opened_of(message: Any, kind: PictureFormat) -> Opened:
    fps = rational_of(message.fps)
    if fps is None:
        raise errors.ServerFault("opened.fps is missing")
    sound = audio_of(message.sound) if message.HasField("sound") else None
    place = (message.session, message.avatar, fps, message.width, message.height)
    coding = (message.codec_config, message.mime_type, kind)
    return Opened(*place, audio_of(message.audio), sound, message.provider, *coding)


def _seconds(duration: Any) -> float:
    return float(duration.seconds + duration.nanos / 1e9)


def avatar_of(message: Any) -> Avatar:
    s = message.stats
    counts = (s.sessions, s.sessions_opened, s.frames, s.generated_frames, s.mean_generate_ms)
    stats = AvatarStats(*counts, s.model_bytes, s.frame_bytes, s.loads, _seconds(s.load_time))
    about = (message.name, message.title, message.loaded, message.width, message.height)
    rate = rational_of(message.fps)
    return Avatar(*about, rate, message.frame_count, message.family, message.provider, message.problem, stats)


def info_of(message: Any) -> ServerInfo:
    c = message.capacity
    return ServerInfo(
        version=message.version,
        backend=message.backend,
        h264_encoder=message.h264_encoder,
        workers=message.workers,
        sessions=c.sessions,
        session_limit=c.session_limit,
        load=c.load,
        headroom=c.headroom,
        uptime_seconds=_seconds(message.uptime),
        draining=message.draining,
        upload_bytes=message.upload_bytes,
    )
