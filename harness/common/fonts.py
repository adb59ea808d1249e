"""Fonts for names in any script: DejaVu Sans, then whatever installed font has the characters that it lacks."""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass
from functools import cache
from pathlib import Path

UNUSABLE = ("last resort", "emoji")  # boxes for every character; bitmaps that cannot be scaled
PREFERRED = (
    "sans cjk sc",
    "sans cjk",
    "source han sans",
    "sans",
    "hei",
    "gothic",
)  # upright, without serifs, as DejaVu Sans
REGULAR = (300, 500)  # weights


@dataclass(frozen=True)
class Fonts:
    """Fonts in the order in which a character is looked for, and the characters that none of them has."""

    families: tuple[str, ...]
    paths: tuple[Path, ...]
    missing: str

    def __str__(self) -> str:
        """What a user should know of it: one line, or nothing."""
        if not self.missing:
            return ""
        shown = self.missing[:20] + ("…" if len(self.missing) > 20 else "")
        return f"no installed font has {shown}: boxes stand for them. Install one that has, as Noto Sans CJK"

    def of(self, character: str) -> Path:
        """The first font that has ``character``; the first of all where none has."""
        return next((path for path in self.paths if ord(character) in _characters(path)), self.paths[0])


def fonts_for(text: str) -> Fonts:
    """DejaVu Sans, and as many other installed fonts as it takes for the characters of ``text``."""
    from matplotlib import font_manager

    first = Path(font_manager.findfont("DejaVu Sans"))
    families, paths = ["DejaVu Sans"], [first]
    missing = {character for character in text if character.isprintable() and not character.isspace()}
    missing -= set(map(chr, _characters(first)))
    while missing and (best := _best(frozenset(missing))) is not None:
        family, path = best
        families.append(family)
        paths.append(path)
        missing -= set(map(chr, _characters(path)))
    return Fonts(tuple(families), tuple(paths), "".join(sorted(missing)))


def _best(missing: Set[str]) -> tuple[str, Path] | None:
    """The installed font that has most of ``missing``, the first of equals; None where no font has any."""
    codes = set(map(ord, missing))
    most, best = 0, None
    for family, path in _installed():
        n = len(codes & _characters(path))
        if n > most:
            most, best = n, (family, path)
        if n == len(codes):
            break
    return best


@cache
def _installed() -> tuple[tuple[str, Path], ...]:
    """Family and file of the regular, upright fonts, those that go well with DejaVu Sans first."""
    from matplotlib import font_manager

    manager = font_manager.fontManager
    for path in set(font_manager.findSystemFonts()) - {entry.fname for entry in manager.ttflist}:
        try:
            manager.addfont(path)  # installed since matplotlib wrote its list of fonts
        except (OSError, RuntimeError, ValueError):
            continue
    return tuple(sorted(set(_regular(manager.ttflist)), key=lambda font: (_rank(font[0]), *map(str, font))))


def _regular(entries: object) -> Iterator[tuple[str, Path]]:
    for entry in entries:  # type: ignore[attr-defined]
        regular = entry.style == "normal" and _is_regular(entry.weight)
        if regular and not any(word in entry.name.lower() for word in UNUSABLE):
            yield entry.name, Path(entry.fname)


def _is_regular(weight: int | str) -> bool:
    return weight in ("normal", "regular", "book") or (isinstance(weight, int) and REGULAR[0] < weight < REGULAR[1])


def _rank(family: str) -> int:
    return next((i for i, word in enumerate(PREFERRED) if word in family.lower()), len(PREFERRED))


@cache
def _characters(path: Path) -> Set[int]:
    """The code points that a font has; none where it cannot be read."""
    from matplotlib.ft2font import FT2Font

    try:
        return frozenset(FT2Font(str(path)).get_charmap())
    except (OSError, RuntimeError, ValueError):
        return frozenset()
