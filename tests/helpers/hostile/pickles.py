"""Pickles that grow, are deep, hold other kinds, declare sizes, ask for memory, or are damaged, in every position."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hostile.case import RED, Case, damaged

IMAGES = np.arange(4 * 4 * 4 * 3, dtype=np.uint8).reshape(4, 4, 4, 3)
FLAT = np.zeros((4, 3072), np.uint8)


class Code(bytes):
    """Instructions that push one value."""


def pickled(value: Any) -> bytes:
    """``value`` in protocol 2, where it holds ``Code`` with that in its place."""
    return b"\x80\x02" + _part(value) + b"."


def _part(value: Any) -> bytes:
    if isinstance(value, Code):
        return value
    if isinstance(value, dict):
        return b"}(" + b"".join(_part(part) for pair in value.items() for part in pair) + b"u"
    if isinstance(value, list) and any(isinstance(item, Code) for item in value):
        return b"](" + b"".join(map(_part, value)) + b"e"
    return pickle.dumps(value, 2)[2:-1]


def laugh(new: bytes, levels: int = 40) -> Code:
    """A container that holds one container ten times, which holds another ten times, and so on."""
    code = new
    for level in range(levels):
        code += b"q" + bytes([level]) + b"0(" + (b"h" + bytes([level])) * 10 + (b"l" if new[:1] == b"]" else b"t")
    return Code(code)


def laughing_dicts(levels: int = 40) -> Code:
    code = b"}"
    for level in range(levels):
        items = b"".join(b"K" + bytes([key]) + b"h" + bytes([level]) for key in range(10))
        code += b"q" + bytes([level]) + b"0}(" + items + b"u"
    return Code(code)


def listed(count: int) -> Code:
    return Code(b"](" + b"K\x01" * count + b"e")


# What stands in a value's place, and whether no dataset can hold it there.
VALUES: dict[str, tuple[Any, bool]] = {
    "growing lists": (laugh(b"]"), True),
    "growing tuples": (laugh(b")"), True),
    "growing dicts": (laughing_dicts(), True),
    "a list 200,000 deep": (Code(b"]" * 200_000 + b"a" * 199_999), True),
    "a tuple 200,000 deep": (Code(b")" + b"\x85" * 200_000), True),
    "a list of 6 million": (listed(6_000_000), True),
    "a list in itself": (Code(b"]q\x00h\x00a"), True),
    "None": (None, True),
    "an array of floats": (np.zeros((4, 4)), True),
    "a million labels": (np.zeros(1_000_000, np.int64), False),
    "an integer of 2,000 bits": (1 << 2000, True),
    "a long text": ("x" * 3_000_000, True),
    "escape sequences": (RED * 50, True),
    "a list of lists": ([[1, 2], [3]], True),
    "a dict of lists": ({"a": [1], RED: [None]}, False),
    "a list of arrays": ([np.zeros((4, 4, 3), np.uint8)] * 4, False),
    "a list of names that obey": ([RED] * 4, False),
}
# File → what it holds, with the position as a key path.
POSITIONS: dict[str, Callable[[Any], tuple[str, Any]]] = {
    "labels": lambda v: ("train.pickle", {"data": IMAGES, "labels": v}),
    "a label": lambda v: ("train.pickle", {"data": IMAGES, "labels": [0, 0, v, 1]}),
    "data": lambda v: ("train.pickle", {"data": v, "labels": [0, 0, 1, 1]}),
    "catname2label": lambda v: ("train.pickle", {"data": IMAGES, "labels": [0, 0, 1, 1], "catname2label": v}),
    "the whole": lambda v: ("train.pickle", v),
    "class_dict": lambda v: ("mini-imagenet-cache-train.pkl", {"image_data": IMAGES, "class_dict": v}),
    "a class's places": lambda v: ("mini-imagenet-cache-train.pkl", {"image_data": IMAGES, "class_dict": {"n01": v}}),
    "image_data": lambda v: ("mini-imagenet-cache-train.pkl", {"image_data": v, "class_dict": {"n01": [0, 1, 2, 3]}}),
    "fine_label_names": lambda v: ("meta", {"fine_label_names": v}),
    "a class's name": lambda v: ("meta", {"fine_label_names": ["a", v]}),
    "fine_labels": lambda v: ("train", {"data": FLAT, "fine_labels": v}),
    "label_specific": lambda v: ("train_labels.pkl", {"label_specific": v, "label_specific_str": ["fox", "wolf"]}),
    "label_specific_str": lambda v: ("train_labels.pkl", {"label_specific": [0, 0], "label_specific_str": v}),
    "a title": lambda v: ("train_labels.pkl", {"label_specific": [0, 0], "label_specific_str": ["fox", v]}),
    "the list of images": lambda v: ("train_images_png.pkl", v),
}


def write(folder: Path, name: str, content: bytes) -> None:
    """The file, and those that its form needs beside it."""
    (folder / name).write_bytes(content)
    beside: dict[str, Any] = {}
    if name in ("meta", "train"):
        beside = {"meta": {"fine_label_names": ["n01", "n02"]}, "train": {"data": FLAT, "fine_labels": [0, 0, 1, 1]}}
    if name in ("train_labels.pkl", "train_images_png.pkl"):
        beside = {"train_labels.pkl": {"labels": [0, 1]}, "train_images_png.pkl": [b"x" * 99, b"y" * 99]}
    for other, value in beside.items():
        if other != name:
            (folder / other).write_bytes(pickled(value))


def _in_position(position: str, value: Any) -> Callable[[Path], None]:
    def build(folder: Path) -> None:
        name, content = POSITIONS[position](value)
        write(folder, name, pickled(content))

    return build


ARRAY = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR"
U1 = b"cnumpy\ndtype\n(U\x02u1K\x00K\x01tR"
PAIRS = b"](" + b"](K\x01K\x02eq\x01" + b"h\x01" * 20_000 + b"eq\x02"
LONG_TYPE = b"cnumpy\ndtype\n(U\xff" + b"9" * 255 + b"tR"
ENCODED = b"c_codecs\nencode\nq\x00X\xff\x03\x00\x00" + b"a" * 1023 + b"X\x06\x00\x00\x00latin1\x86"
INSTRUCTIONS: dict[str, bytes] = {
    "a memo of 2^31 places": b"Nr\xff\xff\xff\x7f.",
    "a memo of 10^11 places": b"Np99999999999\n.",
    "a memo of -1": b"Np-1\n.",
    "a recall of nothing": b"h\x05.",
    "bytes of 4 GB": b"B\xff\xff\xff\xffabc.",
    "bytes of 2^63": b"\x8e" + b"\xff" * 7 + b"\x7fabc.",
    "a bytearray of 2^40": b"\x96\x00\x00\x00\x00\x00\x01\x00\x00abc.",
    "a text of 2^60": b"\x8d" + b"\x00" * 7 + b"\x10abc.",
    "a string of -1": b"T\xff\xff\xff\xffabc.",
    "an integer of 2 GB": b"\x8b\xff\xff\xff\x7fabc.",
    "a frame of 2^63": b"\x80\x04\x95" + b"\xff" * 7 + b"\x7fN.",
    "protocol 99": b"\x80\x63N.",
    "an integer of 4,900 digits": b"L" + b"9" * 4_900 + b"L\n.",
    "an integer of a million digits": b"I" + b"9" * 1_000_000 + b"\n.",
    "a line without an end": b"S'" + b"x" * 100_000,
    "a string without quotes": b"Sabc\n.",
    "20 million Nones": b"(" + b"N" * 20_500_000 + b"l.",
    "3 million lists": b"(" + b"]" * 3_000_000 + b"l.",
    "2 million dicts": b"(" + b"}" * 2_000_000 + b"l.",
    "4 million tuples": b"(" + b"K\x01\x85" * 4_000_000 + b"l.",
    "8 million integers": b"(" + b"J\x00\x01\x00\x00" * 8_000_000 + b"l.",
    "5 million marks": b"(" * 5_000_000 + b".",
    "duplicates": b"N" + b"2" * 6_000_000 + b".",
    "os.system": b"cos\nsystem\n(S'true'\ntR.",
    "eval by INST": b"(S'1'\ni__builtin__\neval\n.",
    "getattr": b"c__builtin__\ngetattr\n(N\x8c\x01xtR.",
    "names on the stack": b"\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R.",
    "names that are lists": b"]]\x93.",
    "names that obey": b"c" + RED.encode() + b"\n" + RED.encode() + b"\n.",
    "a name of 100 kB": b"c" + b"x" * 100_000 + b"\nx\n.",
    "a call of a text": b"\x8c\x01x)R.",
    "a call of an array's maker": b"cnumpy\nndarray\n(K\x01tR.",
    "a change of numpy.dtype": b"cnumpy\ndtype\n(NU\x01x}(U\x08__code__Nutb.",
    "a change of a maker": b"cnumpy.core.multiarray\n_reconstruct\n}(U\x04nameU\x01xub.",
    "a change of a list": b"]}(U\x01xK\x01ub.",
    "an array of objects": ARRAY + b"(K\x01(K\x01tcnumpy\ndtype\n(U\x01OK\x00K\x01tR\x89](Netb.",
    "an array of nothing": ARRAY + b"(K\x01(J\xff\xff\xff\x7ftcnumpy\ndtype\n(U\x02S0K\x00K\x01tR\x89U\x00tb.",
    "an array of 10^18": ARRAY + b"(K\x01(" + b"J\xff\xff\xff\x7f" * 2 + b"t" + U1 + b"\x89U\x01xtb.",
    "an array of -1": ARRAY + b"(K\x01(J\xff\xff\xff\xfft" + U1 + b"\x89U\x01xtb.",
    "an array of 1,000 sides": ARRAY + b"(K\x01(" + b"K\x01" * 1000 + b"t" + U1 + b"\x89U\x01xtb.",
    "an array in itself": ARRAY + b"q\x00(K\x01(K\x01t" + U1 + b"\x89h\x00tb.",
    "an array that is never filled": ARRAY + b".",
    "an array of a type with a long name": ARRAY + b"(K\x01(K\x01t" + LONG_TYPE + b"\x89U\x01xtb.",
    "a scalar of a list": b"cnumpy.core.multiarray\nscalar\n" + U1 + b"]\x86R.",
    "an encoding that runs": b"c_codecs\nencode\nX\x01\x00\x00\x00aX\x06\x00\x00\x00rot_13\x86R.",
    "encodings that grow": ENCODED + b"q\x01(" + b"h\x00h\x01R" * 400_000 + b"l.",
    "dicts that grow": PAIRS + b"0ccollections\nOrderedDict\nq\x03h\x02\x85q\x04(" + b"h\x03h\x04R" * 2_000 + b"l.",
    "an ordered dict of odd pairs": b"ccollections\nOrderedDict\n](K\x01K\x02e\x85R.",
    "a persistent object": b"Pid\n.",
    "an object": b"\x80\x02ccollections\nOrderedDict\n)\x81.",
    "an extension": b"\x82\x01.",
    "a set": b"\x8f(K\x01\x90.",
    "a deep tuple as a key": b"})" + b"\x85" * 200_000 + b"K\x01s.",
    "a growing tuple as a key": b"}" + laugh(b")") + b"K\x01s.",
    "a list as a key": b"}]K\x01s.",
    "a stack that is empty": b"0000.",
    "an end without a value": b".",
}


def cases() -> Iterator[Case]:
    for position in POSITIONS:
        for kind, (value, refused) in VALUES.items():
            named = position in ("a label", "a class's name", "a title") and kind == "escape sequences"
            optional = position == "catname2label"
            yield Case(
                f"pickle: {position}: {kind}",
                _in_position(position, value),
                refused=refused and not named and not (optional and not kind.startswith(("growing", "a tuple"))),
                heavy="million" in kind and position != "labels",
            )
    for kind, code in INSTRUCTIONS.items():
        for name in ("train.pickle", "train_images_png.pkl"):
            yield Case(
                f"pickle: instructions in {name}: {kind}",
                lambda folder, name=name, code=code: write(folder, name, b"\x80\x02" + code),  # type: ignore[misc]
                refused=True,
                heavy="million" in kind or "grow" in kind,
            )
    whole = pickled({"data": IMAGES, "labels": [0, 0, 1, 1]})
    yield from damaged(
        "pickle: train.pickle", whole, lambda folder, data: write(folder, "train.pickle", data), "prepare"
    )
    old = b"\x80\x02}(U\x04dataT" + struct.pack("<i", 192) + bytes(192) + b"U\x06labels](K\x00K\x01eu."
    yield from damaged("pickle: Python 2", old, lambda folder, data: write(folder, "train.pickle", data), "prepare")
