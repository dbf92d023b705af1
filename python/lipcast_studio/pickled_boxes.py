"""coords.pkl of LiveTalking's avatars: lists of four whole numbers, read as data. No pickle code is ever run."""

from __future__ import annotations

import pickletools
from pathlib import Path
from typing import Any, Literal, NoReturn

from .errors import StudioError

_MOST_BYTES = 64 << 20
_INTS = {f"{sign}{size}": (size, sign == "i") for sign in "iu" for size in (1, 2, 4, 8)}
# The two names that a pickled NumPy integer needs; they stand for themselves and are never imported.
_DTYPE = "numpy dtype"
_SCALARS = ("numpy.core.multiarray scalar", "numpy._core.multiarray scalar")
_MARK = object()


class _Dtype:
    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.order = "<"


class _Name(str):
    """A global by its name, as one word: module and attribute."""


def read_pickled_numbers(path: Path) -> Any:
    """What the file holds, of lists, tuples, integers and NumPy integers. StudioError names anything else, by its byte."""
    if path.stat().st_size > _MOST_BYTES:
        raise StudioError(f"{path}: {path.stat().st_size} bytes: want at most {_MOST_BYTES}")
    return _Reader(path).read()


class _Reader:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = 0
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def _refuse(self, what: str) -> NoReturn:
        raise StudioError(f"{self._path}: byte {self._at}: {what}; want lists of whole numbers, and nothing is run")

    def read(self) -> Any:
        try:
            for opcode, argument, position in pickletools.genops(self._path.read_bytes()):
                self._at = position or 0
                if opcode.name == "STOP":
                    break
                self._step(opcode.name, argument)
            (found,) = self._stack
        except StudioError:
            raise
        except Exception as error:  # a cut or nonsensical file ends in many ways
            raise StudioError(f"{self._path}: byte {self._at}: not a whole pickle: {error!r}") from None
        return found

    def _popped_to_mark(self) -> list[Any]:
        place = len(self._stack) - 1 - self._stack[::-1].index(_MARK)
        items = self._stack[place + 1 :]
        del self._stack[place:]
        return items

    def _step(self, name: str, argument: Any) -> None:
        stack = self._stack
        if name in ("PROTO", "FRAME"):
            return
        if name in ("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4") and type(argument) is int:
            stack.append(argument)
        elif name in ("NONE", "NEWTRUE", "NEWFALSE"):  # within a dtype's description only; as a box they are refused later
            stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[name])
        elif name in ("SHORT_BINUNICODE", "BINUNICODE", "UNICODE", "SHORT_BINBYTES", "BINBYTES"):
            stack.append(argument)
        elif name == "MARK":
            stack.append(_MARK)
        elif name in ("EMPTY_LIST", "EMPTY_TUPLE"):
            stack.append([] if name == "EMPTY_LIST" else ())
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            count = int(name[-1])
            stack[-count:] = [tuple(stack[-count:])]
        elif name in ("TUPLE", "LIST"):
            items = self._popped_to_mark()
            stack.append(tuple(items) if name == "TUPLE" else items)
        elif name == "APPEND":
            item = stack.pop()
            stack[-1].append(item)
        elif name == "APPENDS":
            items = self._popped_to_mark()
            stack[-1].extend(items)
        elif name in ("BINPUT", "LONG_BINPUT", "PUT", "MEMOIZE"):
            self._memo[len(self._memo) if name == "MEMOIZE" else argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(self._memo[argument])
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            self._name(argument if name == "GLOBAL" else None)
        elif name == "REDUCE":
            self._reduce()
        elif name == "BUILD":
            state = stack.pop()
            if not isinstance(stack[-1], _Dtype) or state[1] not in ("<", ">", "|", "="):
                self._refuse("BUILD of something that is no NumPy integer type")
            stack[-1].order = state[1]
        else:
            self._refuse(f"{name} {argument if argument is not None else ''}".strip())

    def _name(self, argument: str | None) -> None:
        if argument is None:
            attribute, module = self._stack.pop(), self._stack.pop()
            argument = f"{module} {attribute}"
        if argument != _DTYPE and argument not in _SCALARS:
            self._refuse(f"the name {argument.replace(' ', '.')}")
        self._stack.append(_Name(argument))

    def _reduce(self) -> None:
        arguments, called = self._stack.pop(), self._stack.pop()
        if not isinstance(called, _Name) or not isinstance(arguments, tuple):
            self._refuse("a call")
        if called == _DTYPE:
            if not arguments or arguments[0] not in _INTS:
                self._refuse(f"a NumPy type {arguments[0] if arguments else ''}")
            self._stack.append(_Dtype(arguments[0]))
            return
        dtype, data = arguments
        if isinstance(data, str):  # protocols below 3 write bytes through a codec, which is a call and was refused
            self._refuse("a NumPy number written as text")
        if not isinstance(dtype, _Dtype) or not isinstance(data, bytes) or len(data) != _INTS[dtype.kind][0]:
            self._refuse("a NumPy number of another size than its type")
        order: Literal["big", "little"] = "big" if dtype.order == ">" else "little"
        self._stack.append(int.from_bytes(data, order, signed=_INTS[dtype.kind][1]))
