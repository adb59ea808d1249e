"""The instructions of a pickle that a dataset needs. What is not in this table is refused: it could run commands."""

from __future__ import annotations

import codecs
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from harness.datasets.preparing.sources.pickle_values import SHORT, Text, name, reduce

if TYPE_CHECKING:
    from harness.datasets.preparing.sources.unpickle import Machine


def _raw(view: memoryview) -> bytes | memoryview:
    return bytes(view) if len(view) <= SHORT else view


def _text(view: memoryview) -> str | Text:
    return str(view, "utf-8") if len(view) <= SHORT else Text(view)


def _old(view: bytes | memoryview) -> str | memoryview:
    """A string of Python 2: text where short, else bytes."""
    return str(view, "latin1") if len(view) <= SHORT else memoryview(view)


def _quoted(line: bytes) -> bytes:
    line = line.strip()
    if len(line) < 2 or line[:1] not in b"'\"" or line[:1] != line[-1:]:
        raise ValueError("a string without quotes")
    return codecs.escape_decode(line[1:-1])[0]  # type: ignore[attr-defined]


def _integer(line: bytes) -> int | bool:
    return {b"00": False, b"01": True}.get(line) if line in (b"00", b"01") else int(line.rstrip(b"L"))  # type: ignore[return-value]


def _double(machine: Machine) -> float:
    return float(struct.unpack(">d", machine.take(8))[0])


def _call(machine: Machine) -> None:
    arguments, function = machine.stack.pop(), machine.stack.pop()
    machine.push(reduce(function, arguments, machine.scratch))


def _named(machine: Machine) -> None:
    function, module = machine.stack.pop(), machine.stack.pop()
    machine.push(name(str(module), str(function)))


def _tuple(count: int) -> Callable[[Machine], None]:
    def step(machine: Machine) -> None:
        items = machine.stack[-count:]
        if len(items) < count:
            raise ValueError("it ends too early")
        machine.stack[-count:] = [tuple(items)]

    return step


def _append(machine: Machine) -> None:
    item = machine.stack.pop()
    machine.extend([item])


def _set_item(machine: Machine) -> None:
    value, key = machine.stack.pop(), machine.stack.pop()
    machine.set_items([key, value])


def _new_dict(machine: Machine) -> None:
    items = machine.pop_mark()
    machine.push({})
    machine.set_items(items)


STEPS: dict[int, Callable[[Machine], Any]] = {
    # numbers and constants
    ord("N"): lambda m: m.push(None),
    0x88: lambda m: m.push(True),
    0x89: lambda m: m.push(False),
    ord("I"): lambda m: m.push(_integer(m.line())),
    ord("L"): lambda m: m.push(_integer(m.line())),
    ord("F"): lambda m: m.push(float(m.line())),
    ord("G"): lambda m: m.push(_double(m)),
    ord("J"): lambda m: m.push(m.number(4, signed=True)),
    ord("K"): lambda m: m.push(m.number(1)),
    ord("M"): lambda m: m.push(m.number(2)),
    0x8A: lambda m: m.push(m.number(m.number(1), signed=True)),
    # strings
    ord("S"): lambda m: m.push(_old(_quoted(m.line()))),
    ord("T"): lambda m: m.push(_old(m.take(m.number(4, signed=True)))),
    ord("U"): lambda m: m.push(_old(m.take(m.number(1)))),
    ord("V"): lambda m: m.push(str(m.line(), "raw-unicode-escape")),
    ord("X"): lambda m: m.push(_text(m.take(m.number(4)))),
    0x8C: lambda m: m.push(_text(m.take(m.number(1)))),
    0x8D: lambda m: m.push(_text(m.take(m.number(8)))),
    ord("B"): lambda m: m.push(_raw(m.take(m.number(4)))),
    ord("C"): lambda m: m.push(_raw(m.take(m.number(1)))),
    0x8E: lambda m: m.push(_raw(m.take(m.number(8)))),
    0x96: lambda m: m.push(_raw(m.take(m.number(8)))),
    # containers
    ord("("): lambda m: m.marks.append(len(m.stack)),
    ord("]"): lambda m: m.new_list([]),
    ord("l"): lambda m: m.new_list(m.pop_mark()),
    ord("}"): lambda m: m.push({}),
    ord("d"): _new_dict,
    ord(")"): lambda m: m.push(()),
    ord("t"): lambda m: m.push(tuple(m.pop_mark())),
    0x85: _tuple(1),
    0x86: _tuple(2),
    0x87: _tuple(3),
    ord("a"): _append,
    ord("e"): lambda m: m.extend(m.pop_mark()),
    ord("s"): _set_item,
    ord("u"): lambda m: m.set_items(m.pop_mark()),
    # the stack and the memo
    ord("0"): lambda m: m.stack.pop(),
    ord("1"): lambda m: m.pop_mark(),
    ord("2"): lambda m: m.push(m.stack[-1]),
    ord("p"): lambda m: m.keep(int(m.line())),
    ord("q"): lambda m: m.keep(m.number(1)),
    ord("r"): lambda m: m.keep(m.number(4)),
    0x94: lambda m: m.keep(m.kept),
    ord("g"): lambda m: m.recall(int(m.line())),
    ord("h"): lambda m: m.recall(m.number(1)),
    ord("j"): lambda m: m.recall(m.number(4)),
    0x80: lambda m: m.take(1),
    0x95: lambda m: m.take(8),
    # what numpy's pickles name
    ord("c"): lambda m: m.push(name(str(m.line(), "utf-8"), str(m.line(), "utf-8"))),
    0x93: _named,
    ord("R"): _call,
    ord("b"): lambda m: m.build(),
}
