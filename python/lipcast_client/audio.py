"""Sound of any kind as the PCM bytes of a session."""

from __future__ import annotations

import os
import wave
from typing import Any, Protocol

from lipcast_client.errors import InvalidAudio
from lipcast_client.values import AudioFormat, SampleType

Buffer = bytes | bytearray | memoryview
_WIDTHS = {1: SampleType.U8, 2: SampleType.S16, 3: SampleType.S24, 4: SampleType.S32}
_ARRAYS = {SampleType.S16: "<i2", SampleType.S32: "<i4", SampleType.F32: "<f4", SampleType.F64: "<f8"}


class Source(Protocol):
    """Bytes that are there without waiting."""

    def take(self, size: int) -> bytes:
        """Up to `size` bytes; b"" at the end."""
        ...

    @property
    def left(self) -> int: ...


class BytesSource:
    def __init__(self, data: bytes) -> None:
        self._data, self._at = memoryview(data), 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def take(self, size: int) -> bytes:
        piece = bytes(self._data[self._at : self._at + size])
        self._at += len(piece)
        return piece


class WaveSource:
    """The rest of an open WAV file, read as it is sent."""

    def __init__(self, file: wave.Wave_read, owned: bool) -> None:
        self._file, self._owned = file, owned
        self._frame_bytes = file.getnchannels() * file.getsampwidth()
        self._over = False

    @property
    def left(self) -> int:
        return 0 if self._over else (self._file.getnframes() - self._file.tell()) * self._frame_bytes

    def take(self, size: int) -> bytes:
        if self._over:
            return b""
        data = self._file.readframes(max(1, size // self._frame_bytes))
        if not data:
            self._over = True
            if self._owned:
                self._file.close()
        return data


def open_wav(path: str | os.PathLike[str]) -> wave.Wave_read:
    """A WAV file of whole-number PCM. InvalidAudio says what is wrong with it."""
    try:
        return wave.open(os.fspath(path), "rb")
    except (wave.Error, EOFError) as error:
        why = str(error) or "it ends within its header"
        raise InvalidAudio(f"{os.fspath(path)}: {why}; want a WAV file of whole-number PCM") from error


def format_of(file: wave.Wave_read) -> AudioFormat:
    return AudioFormat(file.getframerate(), file.getnchannels(), _WIDTHS[file.getsampwidth()])


def _wave_source(name: str, file: wave.Wave_read, wanted: AudioFormat, owned: bool) -> Source:
    found = format_of(file)
    if found != wanted:
        raise InvalidAudio(f"{name}: {found}: want {wanted}, as the session was opened (AudioFormat.of tells a file's)")
    return WaveSource(file, owned)


def _from_array(array: Any, wanted: AudioFormat) -> bytes:
    """Samples [n] or [n, channels], floats in [-1, 1] or whole numbers of their full range."""
    import numpy

    if wanted.sample_type not in _ARRAYS:
        raise InvalidAudio(f"an array for a session of {wanted}: want S16, S32, F32 or F64, or bytes")
    if array.ndim not in (1, 2) or (array.ndim == 2 and array.shape[1] != wanted.channels):
        raise InvalidAudio(f"an array of shape {array.shape}: want [n] or [n, {wanted.channels}]")
    target = numpy.dtype(_ARRAYS[wanted.sample_type])
    if array.dtype.kind == "f":
        if not numpy.isfinite(array).all():
            raise InvalidAudio("an array with NaN or infinity: want samples in [-1, 1]")
    elif array.dtype.kind != "i":
        raise InvalidAudio(f"an array of {array.dtype}: want int16, int32, float32 or float64")
    if array.dtype.kind != target.kind:
        full = float(1 << (8 * (array if array.dtype.kind == "i" else target).itemsize - 1))
        array = array / full if target.kind == "f" else numpy.clip(numpy.rint(array.astype("f8") * full), -full, full - 1)
    elif target.kind == "i" and array.dtype.itemsize != target.itemsize:
        shift = 8 * (target.itemsize - array.dtype.itemsize)
        array = array.astype("i8") << shift if shift > 0 else array >> -shift
    return bytes(array.astype(target).tobytes())


def source_of(sound: Any, wanted: AudioFormat) -> Source | None:
    """bytes, a NumPy array, the path of a WAV file, an open one; None for anything else."""
    if isinstance(sound, bytes):
        return BytesSource(sound)
    if isinstance(sound, (bytearray, memoryview)):
        return BytesSource(bytes(sound))
    if isinstance(sound, (str, os.PathLike)):
        file = open_wav(sound)
        try:
            return _wave_source(os.fspath(sound), file, wanted, owned=True)
        except BaseException:
            file.close()
            raise
    if isinstance(sound, wave.Wave_read):
        return _wave_source("the WAV file", sound, wanted, owned=False)
    if hasattr(sound, "__array_interface__"):
        return BytesSource(_from_array(sound, wanted))
    return None


def piece_of(sound: Any, wanted: AudioFormat) -> Source:
    """The same for one piece of an utterance; InvalidAudio for anything else."""
    source = source_of(sound, wanted)
    if source is None:
        raise InvalidAudio(f"a piece of {type(sound).__name__}: want bytes, a NumPy array or a WAV file")
    return source
