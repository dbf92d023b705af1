"""One session without any waiting: what to send next, what an answer means.

Both clients, threads and asyncio, put their own waiting around it. Not thread-safe: the sync
client holds its lock around every call.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from lipcast_client import _wire, errors, values
from lipcast_client.audio import Source
from lipcast_client.values import AudioFormat, Cleared, Finished, Frame, Idle, SampleType, SoundFormat, VideoFormat

logger = logging.getLogger("lipcast_client")

# The server holds 4 s (file pace) or 120 s (live) of 64 utterances; a request beyond that waits at
# its door, and a clear behind it. So what is sent ahead of the frames stays below.
AHEAD_FILE_SECONDS, AHEAD_LIVE_SECONDS, AHEAD_UTTERANCES = 3.0, 30.0, 32
PIECE_BYTES, PIECE_SECONDS = 1 << 16, 0.5
QUEUED_UTTERANCES = 64  # not yet sent
QUEUED_BYTES = 1 << 20  # of one utterance, by send()
FRAME_BYTES = 64 << 20  # frames that wait for their reader
UNREAD_SECONDS = 5.0
# Pictures that need those before them.
NEEDS_ALL = (values.PictureFormat.H264_ANNEXB, values.PictureFormat.H264_AVCC, values.PictureFormat.FMP4)


@dataclass(frozen=True)
class Opening:
    """What `speak` was asked for."""

    avatar: str
    audio: AudioFormat
    video: VideoFormat
    sound: SoundFormat
    sound_rate_hz: int
    start_frame: int
    idle: Idle
    file_pace: bool
    buffer_frames: int

    def request(self) -> Any:
        values.check_kinds("speak", self.audio, self.video, self.sound, self.idle)
        request = _wire.SpeakRequest()
        open_ = request.open
        try:
            open_.avatar, open_.start_frame = self.avatar, self.start_frame
            values.fill_audio(open_.audio, self.audio)
            values.fill_video(open_.video, self.video)
            open_.sound, open_.sound_rate_hz = self.sound.value, self.sound_rate_hz
            open_.idle, open_.file_pace = self.idle.value, self.file_pace
        except (TypeError, ValueError) as error:
            raise errors.InvalidRequest(f"speak: {error}") from error
        return request


class Said:
    """What is known of one utterance."""

    def __init__(self, id_: int) -> None:
        self.id = id_
        self.queue: deque[Source] = deque()
        self.ended = False  # nothing more will be queued
        self.cleared = False
        self.fed = False  # by us, from an iterable
        self.sent = False  # the server knows of it
        self.sent_bytes = 0
        self.frames = 0
        self.started = False
        self.finished: Finished | None = None
        self.error: errors.LipcastError | None = None

    @property
    def queued_bytes(self) -> int:
        return sum(source.left for source in self.queue)


class UtteranceFacts:
    """What both clients tell of an utterance."""

    def __init__(self, said: Said) -> None:
        self._said = said

    @property
    def id(self) -> int:
        return self._said.id

    @property
    def started(self) -> bool:
        return self._said.started

    @property
    def cleared(self) -> bool:
        """It was dropped by `clear`."""
        return self._said.cleared

    @property
    def finished(self) -> Finished | None:
        """What was played of it; None while that is not known."""
        return self._said.finished

    def __repr__(self) -> str:
        return f"Utterance({self.id}, {self.finished or ('started' if self.started else 'waiting')})"


class Clearing:
    answer: Cleared | None = None


class SessionCore:
    def __init__(self, opening: Opening) -> None:
        self.opening = opening
        self.opened: values.Opened | None = None
        self.over = False  # no further answer
        self.cancelled = False
        self.error: errors.LipcastError | None = None
        self.closing = False
        self.close_sent = False
        self._out: deque[Said] = deque()  # in the order they are spoken
        self._playing: dict[int, Said] = {}  # sent, not finished
        self._last_id = 0
        self._clears_out: deque[Any] = deque()
        self._clears: dict[int, Clearing] = {}
        self._last_clear = 0
        self._key_frame = False
        self._events: deque[values.Event | errors.LipcastError] = deque()
        self._frames_waiting = self._frame_bytes_waiting = 0
        self._shown = b""
        self._taken_at = time.monotonic()

    @property
    def audio(self) -> AudioFormat:
        """Of what is said: as asked for, then as the server understood it."""
        return self.opened.audio if self.opened else self.opening.audio

    # ---- what the user asks for

    def check_can_send(self) -> None:
        if self.over:
            raise self.error or errors.WrongOrder("the session is over")
        if self.closing:
            raise errors.WrongOrder("the session is closed: nothing more can be said")

    def new_utterance(self) -> Said:
        self.check_can_send()
        self._last_id += 1
        said = Said(self._last_id)
        self._out.append(said)
        return said

    @property
    def room_for_utterance(self) -> bool:
        return self.over or len(self._out) < QUEUED_UTTERANCES

    def room_for(self, said: Said) -> bool:
        return self.over or said.cleared or not said.queue or said.queued_bytes < QUEUED_BYTES

    def put(self, said: Said, source: Source) -> bool:
        """False: the utterance was cleared, the sound is dropped."""
        if said.cleared:
            return False
        if said.ended:
            raise errors.WrongOrder(f"utterance {said.id} has ended: nothing more can be sent")
        if self.over:
            raise self.lost(f"utterance {said.id}")
        said.queue.append(source)
        return True

    def fail(self, said: Said, error: BaseException) -> None:
        """The source of its sound broke: it ends where it is."""
        said.error = errors.SourceFailed(f"utterance {said.id}: {type(error).__name__}: {error}")
        said.error.__cause__ = error
        said.ended = True
        self._events.append(said.error)

    def clear(self, reason: str) -> Clearing:
        self.check_can_send()
        for said in [*self._out, *self._playing.values()]:
            said.cleared = said.ended = True
            said.queue.clear()
        for said in self._out:
            if not said.sent:
                self._finish(said, 0, interrupted=True)
        self._out.clear()
        self._last_clear += 1
        request = _wire.SpeakRequest()
        request.clear.request, request.clear.reason = self._last_clear, reason
        self._clears_out.append(request)
        return self._clears.setdefault(self._last_clear, Clearing())

    def close(self) -> None:
        for said in self._out:
            said.ended = said.ended or not said.fed
        self.closing = True

    def request_key_frame(self) -> None:
        self.check_can_send()
        self._key_frame = True

    # ---- what goes out

    def next_request(self) -> Any | None:
        """None: nothing now."""
        if self.over or self.opened is None:
            return None
        if self._clears_out:
            return self._clears_out.popleft()
        request = _wire.SpeakRequest()
        if self._key_frame:
            self._key_frame = False
            request.key_frame.SetInParent()
            return request
        while self._out:
            said = self._out[0]
            if not said.queue and not said.ended:
                return None
            if not said.sent and len(self._playing) >= AHEAD_UTTERANCES:
                return None
            if said.queue:
                if self._ahead_seconds() >= (AHEAD_FILE_SECONDS if self.opening.file_pace else AHEAD_LIVE_SECONDS):
                    return None
                data = self._piece(said)
                if not data:
                    continue
                request.audio.utterance, request.audio.data = said.id, data
                said.sent_bytes += len(data)
            else:
                self._out.popleft()
                request.end.utterance = said.id
            said.sent = True
            self._playing[said.id] = said
            return request
        if self.closing and not self.close_sent:
            self.close_sent = True
            request.close.SetInParent()
            return request
        return None

    def _piece(self, said: Said) -> bytes:
        audio = self.audio
        size = min(PIECE_BYTES, int(PIECE_SECONDS * audio.rate_hz) * audio.frame_bytes)
        try:
            data = said.queue[0].take(max(size - size % audio.frame_bytes, audio.frame_bytes))
        except Exception as error:
            said.queue.clear()
            self.fail(said, error)
            return b""
        if not data or not said.queue[0].left:
            said.queue.popleft()
        return data

    def _ahead_seconds(self) -> float:
        audio, fps = self.audio, float(self.opened.fps if self.opened else 25)
        a_second = audio.rate_hz * audio.frame_bytes
        return sum(max(0.0, s.sent_bytes / a_second - s.frames / fps) for s in self._playing.values())

    # ---- what comes in

    @property
    def has_room(self) -> bool:
        """For one more answer. While a clear waits for its own, there is."""
        full = self._frames_waiting >= self.opening.buffer_frames or self._frame_bytes_waiting >= FRAME_BYTES
        return not full or bool(self._clears) or self.over

    @property
    def unread(self) -> bool:
        """The buffer is full and nobody has taken a frame for a while."""
        return not self.has_room and time.monotonic() - self._taken_at > UNREAD_SECONDS

    def take_answer(self, answer: Any) -> None:
        kind = answer.WhichOneof("event")
        if kind == "opened":
            self.opened = values.opened_of(answer.opened, self.opening.video.format)
        elif kind == "frame":
            self._take_frame(answer.frame)
        elif kind == "started":
            if said := self._playing.get(answer.started.utterance):
                said.started = True
            self._events.append(values.Started(answer.started.utterance))
        elif kind == "finished":
            f = answer.finished
            said = self._playing.pop(f.utterance, None) or Said(f.utterance)
            self._finish(said, f.played_samples, f.interrupted)
        elif kind == "cleared":
            c = answer.cleared
            cleared = Cleared(c.utterance, c.played_samples, self._seconds(c.played_samples))
            if clearing := self._clears.pop(c.request, None):
                clearing.answer = cleared
            self._silence_waiting()
            self._events.append(cleared)
        elif kind == "state":
            self._events.append(values.StateChanged(values.State(answer.state.state or 1), answer.state.frame))
        elif kind == "warning":
            logger.warning("%s", answer.warning.message)
            self._events.append(values.Notice(answer.warning.message))
        elif kind == "movie_end":
            self._events.append(values.MovieEnd(answer.movie_end))

    def _silence_waiting(self) -> None:
        """Frames of cleared speech that wait for their reader, but one, become silent repeats, as the
        server does with its own: index and samples stay whole. H.264 keeps its pictures, a movie its pieces."""
        kept: Frame | None = None
        whole = self.opening.video.format not in NEEDS_ALL
        for i, event in enumerate(self._events):
            if not isinstance(event, Frame) or not event.utterance:
                continue
            if kept is None:
                kept = event
                continue
            sound = self._silence * len(event.sound)
            silent = replace(event, utterance=0, speaking=False, sound=sound)
            if whole:
                silent = replace(silent, repeated=True, picture=b"", shown=kept.shown)
                self._frame_bytes_waiting -= len(event.picture)
            self._events[i] = silent
        if kept is not None and whole:
            self._shown = kept.shown

    @property
    def _silence(self) -> bytes:
        sound = self.opened.sound if self.opened else None
        kind = sound.sample_type if sound else SampleType.S16
        return {SampleType.U8: b"\x80", SampleType.MULAW: b"\xff", SampleType.ALAW: b"\xd5"}.get(kind, b"\0")

    def _seconds(self, samples: int) -> float:
        return samples / self.audio.rate_hz

    def _finish(self, said: Said, samples: int, interrupted: bool) -> None:
        said.finished = Finished(said.id, samples, self._seconds(samples), interrupted)
        self._events.append(said.finished)

    def _take_frame(self, frame: Any) -> None:
        if self.opened is None:
            raise errors.ServerFault("a frame before `opened`")
        if frame.picture and self.opened.format is not values.PictureFormat.FMP4:
            self._shown = frame.picture
        if said := self._playing.get(frame.utterance):
            said.frames += 1
        made = Frame(
            index=frame.index,
            pts_seconds=float(Fraction(frame.index) / self.opened.fps),
            utterance=frame.utterance,
            speaking=frame.speaking,
            repeated=frame.repeated,
            key_frame=frame.key_frame,
            picture=frame.picture,
            sound=frame.sound,
            background=frame.background,
            shown=self._shown,
            stream=self.opened,
        )
        self._events.append(made)
        self._count(made, 1)

    def _count(self, frame: Frame, sign: int) -> None:
        if self._frames_waiting == 0:
            self._taken_at = time.monotonic()
        self._frames_waiting += sign
        self._frame_bytes_waiting += sign * (len(frame.picture) + len(frame.sound))

    @property
    def has_event(self) -> bool:
        return bool(self._events)

    def pop_event(self) -> values.Event | None:
        """None: the end. Raises what went wrong, in its place among the events."""
        if self._events:
            event = self._events.popleft()
            if isinstance(event, errors.LipcastError):
                raise event
            if isinstance(event, Frame):
                self._count(event, -1)
                self._taken_at = time.monotonic()
            return event
        if self.error:
            raise self.error
        return None

    def end(self, error: errors.LipcastError | None) -> None:
        """The call is over; without an error after `close`, or as it was cancelled here."""
        if self.over:
            return
        self.over, self.error = True, None if self.cancelled else error
        for said in self._out:
            said.queue.clear()

    def lost(self, what: str) -> errors.LipcastError:
        """Why something that was waited for will not come."""
        if self.error:
            return self.error
        if self.cancelled:
            return errors.Cancelled(f"{what}: the session was cancelled")
        return errors.Unavailable(f"{what}: the session is over")

    def unread_error(self) -> errors.FramesUnread:
        return errors.FramesUnread(
            f"{self._frames_waiting} frames wait and nobody takes them: iterate the session, in another thread or task"
        )
