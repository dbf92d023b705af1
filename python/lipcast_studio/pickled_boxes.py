"""coords.pkl of LiveTalking's avatars: lists of four whole numbers, read as data. No pickle code is ever run."""

from __future__ import annotations

import pickletools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NoReturn

from .errors import StudioError

_MOST_BYTES = 64 << 20
_MOST_OBJECTS = 4 << 20  # remembered, waiting, or lists and tuples
_DEEPEST = 3  # a list of rows of numbers has two
_LARGEST = 1 << 63  # a NumPy integer is below
_INTS = {f"{sign}{size}": (size, sign == "i") for sign in "iu" for size in (1, 2, 4, 8)}
# The two names that a pickled NumPy integer needs; they stand for themselves and are never imported.
_DTYPE = "numpy dtype"
_SCALARS = ("numpy.core.multiarray scalar", "numpy._core.multiarray scalar")


class _Dtype:
    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.order = "<"


class _Name(str):
    """A global by its name, as one word: module and attribute."""


class _List(list[Any]):
    level = 1  # how deep it nests
    held = False  # it is in another one, whose level counts on it


class _Tuple(tuple[Any, ...]):
    level = 1


def shown(value: Any) -> str:
    """What it is, in a few words, however much it holds."""
    if isinstance(value, list | tuple):
        return f"a {'list' if isinstance(value, list) else 'tuple'} of {len(value)}"
    if isinstance(value, str | bytes):
        return repr(value[:40])
    return repr(value) if value is None or isinstance(value, int) else "no number"


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
        self._marks: list[int] = []  # how many values stand before each
        self._memo: dict[int, Any] = {}
        self._containers = 0

    def _refuse(self, what: str) -> NoReturn:
        raise StudioError(f"{self._path}: byte {self._at}: {what}; want lists of whole numbers, and nothing is run")

    def read(self) -> Any:
        try:
            for opcode, argument, position in pickletools.genops(self._path.read_bytes()):
                self._at = position or 0
                if opcode.name == "STOP":
                    break
                self._step(opcode.name, argument)
                if max(len(self._memo), len(self._stack), len(self._marks), self._containers) > _MOST_OBJECTS:
                    self._refuse(f"more than {_MOST_OBJECTS} values")
            (found,) = self._stack
        except StudioError:
            raise
        except Exception as error:  # a cut or nonsensical file ends in many ways
            said = f"{type(error).__name__}: {str(error)[:80]}"
            raise StudioError(f"{self._path}: byte {self._at}: not a whole pickle: {said}") from None
        return found

    def _popped(self, count: int) -> list[Any]:
        """The last `count` values, none of them from before a mark that stands open."""
        if len(self._stack) - count < (self._marks[-1] if self._marks else 0):
            self._refuse("fewer values than it takes")
        items = self._stack[len(self._stack) - count :]
        del self._stack[len(self._stack) - count :]
        return items

    def _popped_to_mark(self) -> list[Any]:
        items = self._popped(len(self._stack) - self._marks[-1])
        self._marks.pop()
        return items

    def _held(self, items: Sequence[Any]) -> int:
        """The level of what holds these. They grow no more, so that none nests deeper later."""
        level = 1
        for item in items:
            if isinstance(item, _List | _Tuple):
                level = max(level, item.level + 1)
            if isinstance(item, _List):
                item.held = True
        if level > _DEEPEST:
            self._refuse(f"nested more than {_DEEPEST} deep")
        return level

    def _made(self, made: _List | _Tuple) -> None:
        level = self._held(made)
        if level > 1:
            made.level = level
        self._containers += 1
        self._stack.append(made)

    def _grown(self, items: list[Any]) -> None:
        level = self._held(items)
        (grown,) = self._popped(1)
        if not isinstance(grown, _List) or grown.held:
            self._refuse("a list that grows when another holds it" if isinstance(grown, _List) else "no list, and it grows")
        grown.extend(items)
        grown.level = max(grown.level, level)
        self._stack.append(grown)

    def _number(self, name: str, argument: int) -> None:
        if not -_LARGEST <= argument < _LARGEST:
            self._refuse(f"{name}: an integer of {argument.bit_length() // 8 + 1} bytes, want at most 8")
        self._stack.append(argument)

    def _step(self, name: str, argument: Any) -> None:
        stack = self._stack
        if name in ("PROTO", "FRAME"):
            return
        if name in ("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4") and type(argument) is int:
            self._number(name, argument)
        elif name in ("NONE", "NEWTRUE", "NEWFALSE"):  # within a dtype's description only; as a box they are refused later
            stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[name])
        elif name in ("SHORT_BINUNICODE", "BINUNICODE", "UNICODE", "SHORT_BINBYTES", "BINBYTES"):
            stack.append(argument)
        elif name == "MARK":
            self._marks.append(len(stack))
        elif name in ("EMPTY_LIST", "EMPTY_TUPLE"):
            self._made(_List() if name == "EMPTY_LIST" else _Tuple())
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            self._made(_Tuple(self._popped(int(name[-1]))))
        elif name in ("TUPLE", "LIST"):
            items = self._popped_to_mark()
            self._made(_Tuple(items) if name == "TUPLE" else _List(items))
        elif name in ("APPEND", "APPENDS"):
            self._grown(self._popped(1) if name == "APPEND" else self._popped_to_mark())
        elif name in ("BINPUT", "LONG_BINPUT", "PUT", "MEMOIZE"):
            self._memo[len(self._memo) if name == "MEMOIZE" else argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(self._memo[argument])
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            self._name(argument if name == "GLOBAL" else None)
        elif name == "REDUCE":
            self._reduce()
        elif name == "BUILD":
            (state,) = self._popped(1)
            if not isinstance(stack[-1], _Dtype) or not isinstance(state, tuple) or state[1] not in ("<", ">", "|", "="):
                self._refuse("BUILD of something that is no NumPy integer type")
            stack[-1].order = state[1]
        else:
            self._refuse(name if argument is None else f"{name} {shown(argument)}")

    def _name(self, argument: str | None) -> None:
        if argument is None:
            words = self._popped(2)
            if not all(isinstance(word, str) for word in words):
                self._refuse("a name that is no text")
            argument = " ".join(words)
        if argument != _DTYPE and argument not in _SCALARS:
            self._refuse(f"the name {argument[:80].replace(' ', '.')}")
        self._stack.append(_Name(argument))

    def _reduce(self) -> None:
        called, arguments = self._popped(2)
        if not isinstance(called, _Name) or not isinstance(arguments, tuple):
            self._refuse("a call")
        if called == _DTYPE:
            kind = arguments[0] if arguments else None
            if not isinstance(kind, str) or kind not in _INTS:
                self._refuse(f"a NumPy type {shown(kind)}")
            self._stack.append(_Dtype(kind))
            return
        dtype, data = arguments
        if isinstance(data, str):  # protocols below 3 write bytes through a codec, which is a call and was refused
            self._refuse("a NumPy number written as text")
        if not isinstance(dtype, _Dtype) or not isinstance(data, bytes) or len(data) != _INTS[dtype.kind][0]:
            self._refuse("a NumPy number of another size than its type")
        order: Literal["big", "little"] = "big" if dtype.order == ">" else "little"
        self._stack.append(int.from_bytes(data, order, signed=_INTS[dtype.kind][1]))
