"""The few values beside lists, dicts and numbers that a dataset's pickle may hold: byte strings and numpy arrays.

numpy's pickles name functions. Here each name stands for an object that makes an inert value from checked parts: a
plain number or string type, a shape, and exactly as many bytes as the two ask for. None of them has a place where a
pickle could put anything else.
"""

from __future__ import annotations

import codecs
import math
import mmap
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from harness.common.text import shown, shown_shape
from harness.datasets.preparing.sources.pickle_scan import CODES, ESCAPED, QUOTED, Refused

IN_MEMORY = 16 << 20  # bytes of text decoded at once
LONGEST_TEXT = 1 << 20  # bytes; longer text is left as bytes, since it stands for bytes
LONGEST_LINE = 256 << 20  # bytes of an array that is written as a line of text
DTYPE = re.compile(r"[<>|=]?(?:[?bB]|b1|[iuf][1248]|[SU][1-9][0-9]{0,3})")
UTF8 = (CODES["BINUNICODE"], CODES["SHORT_BINUNICODE"], CODES["BINUNICODE8"])


class Inert:
    """A value that a pickle can make, but neither fill nor change unless its class says how."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        raise Refused("fills an object that is no plain array")


class LongString(Inert):
    """A long string, left where it lies in the file."""

    __slots__ = ("as_bytes", "code", "raw")

    def __init__(self, code: int, raw: memoryview, as_bytes: bool = False) -> None:
        self.code, self.raw = code, raw  # the instruction, which says how the string is written
        self.as_bytes = as_bytes

    def finish(self, scratch: Path | None) -> str | bytes | memoryview:
        """Text where it is text and not huge; else the bytes that it stands for."""
        if self.as_bytes or self.code not in (*UTF8, ESCAPED) or len(self.raw) > LONGEST_TEXT:
            return self.bytes(scratch)
        return str(self.raw, "utf-8" if self.code in UTF8 else "raw-unicode-escape")

    def bytes(self, scratch: Path | None) -> bytes | memoryview:
        """The bytes, read from the file where they are used; decoded where they are written as text."""
        if self.code in UTF8:
            return _latin1(self.raw, scratch) if self.as_bytes else self.raw
        if self.code not in (ESCAPED, QUOTED):
            return self.raw
        if len(self.raw) > LONGEST_LINE:
            raise Refused("holds an array as text of hundreds of megabytes: save it again with protocol 4")
        if self.code == ESCAPED:
            return str(self.raw, "raw-unicode-escape").encode("latin1")
        line = bytes(self.raw).strip()
        if len(line) < 2 or line[:1] not in b"'\"" or line[:1] != line[-1:]:
            raise Refused("holds a string without quotes")
        return bytes(codecs.escape_decode(line[1:-1])[0])  # type: ignore[attr-defined]


class Table(dict[Any, Any]):
    """A dict whose keys are plain: the hash of a deep tuple may end the process, that of a wide one take for ever."""

    __slots__ = ()
    __setstate__ = Inert.__setstate__

    def __setitem__(self, key: Any, value: Any) -> None:
        if not isinstance(key, str | bytes | int | float | np.generic):
            raise Refused(f"uses a {type(key).__name__} as a key")
        super().__setitem__(key, value)


class DType(Inert):
    """A type of numbers or strings."""

    __slots__ = ("dtype",)

    def __init__(self, code: Any, *_: Any) -> None:
        text = code.decode("latin1") if isinstance(code, bytes) else code
        if not isinstance(text, str) or not DTYPE.fullmatch(text):
            raise Refused(f"holds an array of type {shown(text)}, not of plain numbers")
        self.dtype = np.dtype(text)

    def __setstate__(self, state: Any) -> None:
        match state:
            case (_, str() | bytes() as order, None, None, None, *_):
                sign = order if isinstance(order, str) else order.decode("latin1")
                self.dtype = np.dtype(sign + self.dtype.str[1:]) if sign in ("<", ">") else self.dtype
            case _:
                raise Refused("holds an array of no plain type")


class Array(Inert):
    """An array, made into numpy's when all is read."""

    __slots__ = ("_array", "_parts")

    def __init__(self, *parts: Any) -> None:
        self._array: np.ndarray | None = None
        self._parts: tuple[Any, ...] = parts  # shape, dtype, whether in Fortran order, the bytes

    def __setstate__(self, state: Any) -> None:
        match state:
            case (_, shape, DType() as dtype, fortran, raw):
                self._parts, self._array = (shape, dtype.dtype, bool(fortran), raw), None
            case _:
                raise Refused("fills an array as numpy does not")

    def finish(self, scratch: Path | None) -> np.ndarray:
        """The array, over the bytes in the file where there are many. Raises Refused where they are too few or many."""
        if not self._parts:
            raise Refused("holds an unfinished array")
        if self._array is None:
            shape, dtype, fortran, raw = self._parts
            self._array = _array(shape, dtype, fortran, raw, scratch)
        return self._array


def _array(shape: Any, dtype: np.dtype, fortran: bool, raw: Any, scratch: Path | None) -> np.ndarray:
    sizes = shape if isinstance(shape, tuple) else (shape,)
    if len(sizes) > 8 or not all(type(size) is int and 0 <= size < 1 << 48 for size in sizes):
        raise Refused(f"holds an array of shape {shown_shape(sizes)}")
    if isinstance(raw, LongString):
        raw.as_bytes = True
        raw = raw.bytes(scratch)
    elif isinstance(raw, str):
        raw = raw.encode("latin1")
    if not isinstance(raw, bytes | memoryview):
        raise Refused("holds an array of objects")
    if math.prod(sizes) * dtype.itemsize != len(raw):
        raise Refused(f"holds an array of shape {shown_shape(sizes)} {dtype} with {len(raw):,} bytes, which do not fit")
    return np.ndarray(sizes, dtype, buffer=raw, order="F" if fortran else "C")


class Name(Inert):
    """A function or type that a pickle names: ``numpy.dtype`` for one. It makes inert values."""

    __slots__ = ("_make", "name")

    def __init__(self, name: str, make: Callable[..., Any]) -> None:
        self.name, self._make = name, make

    def __call__(self, *arguments: Any) -> Any:
        return self._make(*arguments)


class Names:
    """What the pickle's names stand for while one pickle is read, and how much they may make in all."""

    MOST = 64 << 20  # bytes

    def __init__(self) -> None:
        self._made = 0
        self._known: dict[str, Callable[..., Any]] = {
            "numpy.core.multiarray._reconstruct": self._reconstruct,
            "numpy.core.multiarray.scalar": self._scalar,
            "numpy.core.numeric._frombuffer": lambda raw, dtype, shape, order: Array(
                shape, _dtype(dtype), order == "F", raw
            ),
            "numpy.ndarray": _refuse_call,
            "numpy.dtype": DType,
            "_codecs.encode": self._encode,
            "builtins.bytes": self._bytes,
            "builtins.bytearray": self._bytes,
            "collections.OrderedDict": self._ordered_dict,
        }

    def find(self, module: str, function: str) -> Name:
        """Raises Refused for anything but what numpy's own pickles of plain arrays name, old and new."""
        package = module.replace("numpy._core", "numpy.core").replace("__builtin__", "builtins")
        full = f"{package}.{function}"
        if full not in self._known:
            raise Refused(
                f"asks for {shown(f'{module}.{function}')}, which no dataset needs and which could run commands"
            )
        return Name(full, self._known[full])

    def _reconstruct(self, kind: Any, *_: Any) -> Array:
        if not isinstance(kind, Name) or kind.name != "numpy.ndarray":
            raise Refused("makes an array that is none of numpy's")
        return Array()

    def _scalar(self, dtype: Any, raw: Any) -> Any:
        return _array((), _dtype(dtype), False, raw, None)[()]

    def _encode(self, text: Any, encoding: Any) -> Any:
        if encoding not in ("latin1", "latin-1") or not isinstance(text, str | LongString):
            raise Refused("encodes a text as numpy does not")
        if isinstance(text, LongString):
            return LongString(text.code, text.raw, as_bytes=True)
        self._count(len(text))
        return text.encode("latin1")

    def _bytes(self, *arguments: Any) -> Any:
        match arguments:
            case ():
                return b""
            case (bytes() | LongString() as raw,):
                return raw
            case (str() | LongString() as text, encoding):
                return self._encode(text, encoding)
        raise Refused("makes bytes as no pickler does")

    def _ordered_dict(self, pairs: Any = ()) -> Table:
        table = Table()
        if not isinstance(pairs, list | tuple):
            raise Refused("makes a dict as no pickler does")
        self._count(100 * len(pairs))
        for key, value in pairs:
            table[key] = value
        return table

    def _count(self, size: int) -> None:
        self._made += size
        if self._made > self.MOST:
            raise Refused("holds far more objects than a dataset")


def _dtype(value: Any) -> np.dtype:
    if not isinstance(value, DType):
        raise Refused("holds an array of no plain type")
    return value.dtype


def _refuse_call(*_: Any) -> Any:
    raise Refused("calls what is no function")


def _latin1(raw: memoryview, scratch: Path | None) -> bytes | memoryview:
    """The bytes of a text whose characters stand for bytes, as Python 3 writes bytes in protocol 2."""
    if len(raw) <= IN_MEMORY or scratch is None:
        return str(raw, "utf-8").encode("latin1")
    decoder = codecs.getincrementaldecoder("utf-8")()
    handle, path = tempfile.mkstemp(dir=scratch)
    with os.fdopen(handle, "wb") as target:
        for start in range(0, len(raw), IN_MEMORY):
            target.write(decoder.decode(raw[start : start + IN_MEMORY]).encode("latin1"))
        target.write(decoder.decode(b"", final=True).encode("latin1"))
    with Path(path).open("rb") as source:
        return memoryview(mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ))
