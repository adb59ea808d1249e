"""The instructions of a pickle, checked one by one before anything carries them out.

``pickletools.genops`` lists them too, but reads every argument into memory, an array of a gigabyte included. Here
only the places of long strings are told.
"""

from __future__ import annotations

import pickletools
from collections.abc import Iterator
from typing import NamedTuple

MOST_STEPS = 8_000_000
MOST_BETWEEN = 100_000  # steps between two images of a list
MOST_MEMORY = 256 << 20  # bytes that the instructions, long strings apart, may need
LONGEST_LINE = 5_000  # bytes of a number written out, as Python's own limit on the digits of an integer
LONGEST_NAME = 256  # bytes


class Refused(Exception):
    """A pickle holds what no dataset needs, or is damaged."""


class Piece(NamedTuple):
    """An instruction that does not go to the standard library's unpickler as it stands."""

    code: int
    start: int
    first: int  # where its string begins
    end: int


CODES = {op.name: ord(op.code) for op in pickletools.opcodes}
STOP, FRAME, MARK, PUT = CODES["STOP"], CODES["FRAME"], CODES["MARK"], CODES["PUT"]
LONG_BINPUT, LONG1, GLOBAL = CODES["LONG_BINPUT"], CODES["LONG1"], CODES["GLOBAL"]
EMPTY_DICT, DICT, BYTEARRAY8 = CODES["EMPTY_DICT"], CODES["DICT"], CODES["BYTEARRAY8"]
LENGTHS = {  # of the number that says how long a string is
    CODES[name]: size
    for size, names in {
        1: ("SHORT_BINSTRING", "SHORT_BINBYTES", "SHORT_BINUNICODE"),
        4: ("BINSTRING", "BINBYTES", "BINUNICODE"),
        8: ("BINBYTES8", "BINUNICODE8", "BYTEARRAY8"),
    }.items()
    for name in names
}
QUOTED, ESCAPED = CODES["STRING"], CODES["UNICODE"]  # strings that end with their line
LINES = {CODES[name] for name in ("INT", "LONG", "FLOAT", "PUT", "GET")}
MEMORY = {  # bytes that an instruction may need, by what it makes
    8: "NONE NEWTRUE NEWFALSE EMPTY_TUPLE MARK APPEND APPENDS POP POP_MARK DUP GET BINGET LONG_BINGET PROTO FRAME STOP",
    16: "PUT BINPUT LONG_BINPUT MEMOIZE",
    40: "INT LONG LONG1 BININT BININT1 BININT2 FLOAT BINFLOAT",
    64: "STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES "
    "BINBYTES8 BYTEARRAY8",
    100: "EMPTY_LIST LIST TUPLE TUPLE1 TUPLE2 TUPLE3 SETITEM SETITEMS REDUCE BUILD GLOBAL STACK_GLOBAL",
    240: "EMPTY_DICT DICT",
}
NEEDS = [0] * 256  # by instruction; those with 0 are refused
ARGUMENT = [-1] * 256  # bytes that follow; -1 where that is not fixed
for _size, _names in MEMORY.items():
    for _op in (op for op in pickletools.opcodes if op.name in _names.split()):
        NEEDS[ord(_op.code)] = _size
        if _op.arg is None or _op.arg.n >= 0:
            ARGUMENT[ord(_op.code)] = 0 if _op.arg is None else _op.arg.n
for _code in (STOP, FRAME, LONG_BINPUT, EMPTY_DICT, DICT):
    ARGUMENT[_code] = -1
APPEND, APPENDS = CODES["APPEND"], CODES["APPENDS"]
MAKES_FROM_MARK = {CODES[name]: 1 for name in ("LIST", "DICT", "TUPLE")}
TO_MARK = MAKES_FROM_MARK | {CODES[name]: 0 for name in ("APPENDS", "SETITEMS", "POP_MARK")}
GROWS = {ord(op.code): len(op.stack_after) - len(op.stack_before) for op in pickletools.opcodes}  # values on the stack


class Stack:
    """How many values lie on the unpickler's stack, without the values."""

    def __init__(self) -> None:
        self.height, self.marks = 0, list[int]()

    def after(self, code: int) -> int:
        """How many values the instruction appends to the outermost object."""
        before = self.height
        if code == MARK:
            self.marks.append(before)
        elif code in TO_MARK:
            self.height = self.marks.pop() + TO_MARK[code]
        else:
            self.height += GROWS[code]
        return before - self.height if self.height == 1 and code in (APPEND, APPENDS) else 0


def scan(data: memoryview, long: int, stack: Stack | None = None) -> Iterator[Piece]:
    """Strings of ``long`` bytes or more, new dicts, frames, byte arrays, and the end: each where it is met.

    Args:
        stack: for a pickle that is not going to be loaded: it may be of any length if its long strings follow each
            other closely, and the height of the stack is counted.
    Raises:
        Refused: an instruction that no dataset needs, more of them than any has, a string that ends behind the file,
            a place in the memo far beyond what was put there.
    """
    at = steps = needs = previous = 0
    try:
        most = MOST_STEPS if stack is None else MOST_BETWEEN
        while True:
            start, code = at, data[at]
            if (need := NEEDS[code]) == 0:
                raise Refused(f"uses an instruction (0x{code:02x}, byte {at:,}) that no dataset needs")
            steps += 1
            needs += need
            if stack is not None and (appended := stack.after(code)):
                yield Piece(code, at, at, at + appended)
            size = ARGUMENT[code]
            if size >= 0:
                at += 1 + size
            elif code == LONG_BINPUT:
                at += 5
                if stack is None:
                    _check_memo(int.from_bytes(data[start + 1 : at], "little"), steps)
            elif code in LENGTHS:
                at = first = start + 1 + LENGTHS[code]
                at += int.from_bytes(data[start + 1 : first], "little")
                if at > len(data):
                    raise Refused(f"declares a string of {at - first:,} bytes where {len(data) - first:,} are left")
                if at - first >= long:
                    yield Piece(code, start, first, at)
                    steps, needs = (steps, needs) if stack is None else (0, 0)
                else:
                    needs += at - first
                    if code == BYTEARRAY8:
                        yield Piece(code, start, first, at)
            elif code in (QUOTED, ESCAPED):
                at = _line_end(data, start + 1, len(data))
                if at - start > long:
                    yield Piece(code, start, start + 1, at)
                needs += min(at - start, long)
            elif code in LINES:
                at = _line_end(data, start + 1, LONGEST_LINE)
                if code == PUT and stack is None:
                    _check_memo(int(bytes(data[start + 1 : at])), steps)
            elif code == GLOBAL:
                at = _line_end(data, _line_end(data, start + 1, LONGEST_NAME), LONGEST_NAME)
            elif code == LONG1:
                at += 2 + data[start + 1]
            elif code == DICT and previous != MARK:
                raise Refused("writes a dict as no pickler does")
            else:  # a dict, where it stands after MARK with that; a frame, the end
                at += 9 if code == FRAME else 1
                yield Piece(code, start - (code == DICT), at, at)
                if code == STOP:
                    return
            previous = code
            if steps > most or needs > MOST_MEMORY:
                raise Refused("holds far more objects than a dataset")
    except IndexError:
        raise Refused(f"ends too early, at byte {len(data):,}") from None


def _check_memo(place: int, steps: int) -> None:
    """The unpickler keeps a table as long as the largest place, so that one number could ask for all memory."""
    if not 0 <= place <= steps + 1000:
        raise Refused(f"numbers its objects out of order ({place:,} at step {steps:,})")


def _line_end(data: memoryview, start: int, most: int) -> int:
    at, block = start, 128
    while at < start + most and (piece := bytes(data[at : at + block])):
        if (end := piece.find(b"\n")) >= 0:
            return at + end + 1
        at, block = at + len(piece), 1 << 16
    raise Refused("has a line that does not end")
