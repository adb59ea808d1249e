"""The few values beside lists, dicts and numbers that a dataset's pickle may hold: byte strings and numpy arrays.

numpy's pickles name functions. Here they are recognised by name and never looked up; what they would build is built
from checked parts: a plain number or string type, a shape, and exactly as many bytes as the two ask for.
"""

from __future__ import annotations

import codecs
import mmap
import os
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

SHORT = 1024  # bytes; longer strings stay views of the file
IN_MEMORY = 16 << 20  # bytes of text decoded at once
DTYPE = re.compile(r"[<>|=]?(?:[?bB]|b1|[iuf][1248]|[SU][0-9]{1,4})")


class Refused(Exception):
    """A pickle holds what no dataset needs, or is damaged."""


class Name:
    """A function or type that a pickle names. Compared, never called."""

    def __init__(self, text: str) -> None:
        self.text = text


class PendingArray:
    """An array between its creation and the instruction that fills it."""


class Text:
    """A long text, as its UTF-8 bytes in the file."""

    def __init__(self, raw: memoryview) -> None:
        self.raw = raw


def name(module: str, function: str) -> Name:
    """Raises Refused for anything but what numpy's own pickles of plain arrays name."""
    package = module.replace("numpy._core", "numpy.core").replace("builtins", "__builtin__")
    full = f"{package}.{function}"
    if full not in _KNOWN:
        raise Refused(f"asks for {module}.{function}, which no dataset needs and which could run commands")
    return Name(full)


def reduce(function: Any, arguments: Any, scratch: Path | None) -> Any:
    """What ``function(*arguments)`` would be, for the few functions that ``name`` lets through."""
    if not isinstance(function, Name) or not isinstance(arguments, tuple):
        raise Refused("calls something")
    match function.text, arguments:
        case "numpy.core.multiarray._reconstruct", (Name(text="numpy.ndarray"), _, _):
            return PendingArray()
        case "numpy.dtype", (str() | bytes() as code, *_):
            return _dtype(code)
        case "numpy.core.multiarray.scalar", (np.dtype() as dtype, raw):
            return array((), dtype, raw, False, scratch)[()]
        case "numpy.core.numeric._frombuffer", (raw, np.dtype() as dtype, shape, order):
            return array(shape, dtype, raw, order == "F", scratch)
        case "_codecs.encode", (str() | Text() as text, "latin1" | "latin-1"):
            return latin1(text, scratch)
        case "__builtin__.bytes" | "__builtin__.bytearray", ():
            return b""
        case "__builtin__.bytearray", (bytes() | memoryview() as raw,):
            return raw
        case "__builtin__.bytearray", (str() | Text() as text, "latin-1" | "latin1"):
            return latin1(text, scratch)
    raise Refused(f"calls {function.text} in a way that numpy does not")


def fill(target: Any, state: Any, scratch: Path | None) -> Any:
    """What the instruction BUILD makes of ``target``: an array with its contents, a dtype with its byte order."""
    match target, state:
        case PendingArray(), (_, tuple() as shape, np.dtype() as dtype, fortran, raw):
            return array(shape, dtype, raw, bool(fortran), scratch)
        case np.dtype(), (_, str() | bytes() as order, None, None, None, *_):
            sign = order if isinstance(order, str) else order.decode("latin1")
            return np.dtype(sign + target.str[1:]) if sign in ("<", ">") else target
    raise Refused("fills an object that is no plain array")


def array(shape: Any, dtype: np.dtype, raw: Any, fortran: bool, scratch: Path | None) -> np.ndarray:
    """An array over the bytes ``raw``, without copying them. Raises Refused where they are too few or too many."""
    if isinstance(raw, str | Text):
        raw = latin1(raw, scratch)
    sizes = shape if isinstance(shape, tuple) else (shape,)
    if not all(type(size) is int and size >= 0 for size in sizes) or len(sizes) > 8:
        raise Refused(f"holds an array of shape {shape!r}")
    if not isinstance(raw, bytes | memoryview):
        raise Refused("holds an array of objects")
    count = 1
    for size in sizes:
        count *= size
    if count * dtype.itemsize != len(raw):
        raise Refused(f"holds an array of shape {shape!r} {dtype} with {len(raw):,} bytes, which do not fit")
    return np.ndarray(sizes, dtype, buffer=raw, order="F" if fortran else "C")


def latin1(text: str | Text, scratch: Path | None) -> bytes | memoryview:
    """The bytes of a text whose characters stand for bytes, as Python 3 writes bytes in protocol 2."""
    if isinstance(text, str):
        return text.encode("latin1")
    if len(text.raw) <= IN_MEMORY or scratch is None:
        return str(text.raw, "utf-8").encode("latin1")
    decoder = codecs.getincrementaldecoder("utf-8")()
    handle, path = tempfile.mkstemp(dir=scratch)
    with os.fdopen(handle, "wb") as target:
        for start in range(0, len(text.raw), IN_MEMORY):
            target.write(decoder.decode(text.raw[start : start + IN_MEMORY]).encode("latin1"))
        target.write(decoder.decode(b"", final=True).encode("latin1"))
    with Path(path).open("rb") as source:
        return memoryview(mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ))


def _dtype(code: str | bytes) -> np.dtype:
    text = code if isinstance(code, str) else code.decode("latin1")
    if not DTYPE.fullmatch(text):
        raise Refused(f"holds an array of type {text!r}, not of plain numbers")
    return np.dtype(text)


_KNOWN = frozenset(
    [
        "numpy.core.multiarray._reconstruct",
        "numpy.core.multiarray.scalar",
        "numpy.core.numeric._frombuffer",
        "numpy.ndarray",
        "numpy.dtype",
        "_codecs.encode",
        "__builtin__.bytes",
        "__builtin__.bytearray",
    ]
)
