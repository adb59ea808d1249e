"""How a method, dataset, backbone or classifier is cited: a paper's few facts, and their BibTeX entry."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from harness.common.errors import PluginError

Kind = Literal["inproceedings", "article", "techreport", "misc"]
PLACE = {"inproceedings": "booktitle", "article": "journal", "techreport": "institution", "misc": "howpublished"}
ACCENTS = {"ö": '\\"o', "ü": '\\"u', "ä": '\\"a', "é": "\\'e", "è": "\\`e", "ã": "\\~a", "í": "\\'i", "ó": "\\'o"}
SPECIAL = re.compile(r"(?<!\\)([&%$#_])")


@dataclass(frozen=True)
class Citation:
    """A publication. Raises PluginError where a field is missing or cannot be one."""

    key: str  # of the entry: "snell2017prototypical"
    author: str  # "Snell, Jake and Swersky, Kevin": surname first, all of them
    title: str
    year: int
    where: str  # the conference, journal or institution; of a preprint "arXiv:2006.09785"
    kind: Kind = "inproceedings"
    more: tuple[tuple[str, str], ...] = ()  # further fields: (("volume", "350"), ("pages", "1332--1338"))

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9:_./-]+", self.key):
            raise PluginError(f"the key {self.key!r} of a citation may hold letters, digits and : _ . / - only")
        for name in ("author", "title", "where"):
            _check_text(self.key, name, getattr(self, name))
        for name, text in self.more:
            _check_text(self.key, name, text)
        if self.kind not in PLACE:
            raise PluginError(f"citation {self.key}: {self.kind!r} is none of the kinds {', '.join(PLACE)}")
        if not (isinstance(self.year, int) and 1800 <= self.year <= 2200):
            raise PluginError(f"citation {self.key}: {self.year!r} is no year")
        for author in self.author.split(" and "):
            group = author.startswith("{") and author.endswith("}")  # as a company
            if not group and ("," not in author or "et al" in author):
                raise PluginError(
                    f"citation {self.key}: the author {author!r} is not written 'Surname, Given names'; name all, with "
                    "' and ' between them"
                )

    def bibtex(self, key: str | None = None) -> str:
        """The entry; ``key`` in place of its own."""
        fields = {"author": self.author, "title": f"{{{self.title}}}", PLACE[self.kind]: self.where}
        fields |= {"year": str(self.year), **dict(self.more)}
        width = max(map(len, fields))
        lines = [f"  {name:<{width}} = {{{_bibtex_text(text)}}}," for name, text in fields.items()]
        return "\n".join([f"@{self.kind}{{{key or self.key},", *lines, "}"]) + "\n"

    def __str__(self) -> str:
        """``Snell, Swersky, Zemel: Prototypical Networks for Few-shot Learning, … 2017``."""
        surnames = ", ".join(author.partition(",")[0] for author in self.author.split(" and "))
        return f"{surnames}: {self.title}, {self.where}, {self.year}"


Cited = Citation | str | Sequence[Citation]  # what a spec may have: a text is shown as it is


def citations(spec: Any) -> tuple[Citation, ...]:
    """The publications that a spec names; none where it names none, or has a text only."""
    cited = getattr(spec, "citation", ())
    if isinstance(cited, Citation):
        return (cited,)
    return () if isinstance(cited, str) else tuple(cited)


def citation_text(spec: Any) -> str:
    """What a spec says of its source, in one line; empty where it says nothing."""
    cited = getattr(spec, "citation", "")
    return cited if isinstance(cited, str) else "; ".join(map(str, citations(spec)))


def check_citation(cited: Any) -> None:
    """Raises PluginError where ``cited`` is none of what a spec may have."""
    single = isinstance(cited, Citation | str)
    if not single and not (isinstance(cited, list | tuple) and all(isinstance(one, Citation) for one in cited)):
        raise PluginError(f"citation must be a harness.Citation, several in a tuple, or a text, not {cited!r}")


def _check_text(key: str, name: str, text: Any) -> None:
    if not isinstance(text, str) or not text.strip() or not text.isprintable():
        raise PluginError(f"citation {key}: {name} must be a line of text, not {text!r}")
    depth = 0
    for character in text:
        depth += (character == "{") - (character == "}")
        if depth < 0:
            break
    if depth:
        raise PluginError(f"citation {key}: the braces of {name} do not match: {text!r}")


def _bibtex_text(text: str) -> str:
    """The text with LaTeX's special characters escaped and accents as commands, which every BibTeX sorts well."""
    escaped = SPECIAL.sub(r"\\\1", text)
    return "".join(f"{{{ACCENTS[letter]}}}" if letter in ACCENTS else letter for letter in escaped)
