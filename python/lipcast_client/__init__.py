"""Client of the lipcast server: speech in, frames of a talking person with their sound out.

    with Client("127.0.0.1:50051") as client, client.speak("demo") as session:
        session.say("hello.wav")
        session.close()
        for frame in session:
            ...

`Client` is for threads, `AsyncClient` for asyncio. docs/client.md is the tour.
"""

from lipcast_client.aio import AsyncClient
from lipcast_client.client import Client, Session, Utterance
from lipcast_client.errors import (
    Cancelled,
    DeadlineExceeded,
    FramesUnread,
    InvalidAudio,
    InvalidRequest,
    LipcastError,
    NotAllowed,
    NotFound,
    Refused,
    ServerFault,
    SourceFailed,
    Unavailable,
    Unimplemented,
    WrongOrder,
)
from lipcast_client.values import (
    AudioFormat,
    Avatar,
    AvatarStats,
    Cleared,
    Event,
    Finished,
    Frame,
    Idle,
    MovieEnd,
    Notice,
    Opened,
    PictureFormat,
    Rendered,
    SampleType,
    ServerInfo,
    SoundFormat,
    Started,
    State,
    StateChanged,
    VideoFormat,
)

__version__ = "0.1.0"

__all__ = [
    "AsyncClient",
    "AudioFormat",
    "Avatar",
    "AvatarStats",
    "Cancelled",
    "Cleared",
    "Client",
    "DeadlineExceeded",
    "Event",
    "Finished",
    "Frame",
    "FramesUnread",
    "Idle",
    "InvalidAudio",
    "InvalidRequest",
    "LipcastError",
    "MovieEnd",
    "NotAllowed",
    "NotFound",
    "Notice",
    "Opened",
    "PictureFormat",
    "Refused",
    "Rendered",
    "SampleType",
    "ServerFault",
    "ServerInfo",
    "Session",
    "SoundFormat",
    "SourceFailed",
    "Started",
    "State",
    "StateChanged",
    "Unavailable",
    "Unimplemented",
    "Utterance",
    "VideoFormat",
    "WrongOrder",
]
