"""What a document tells its readers to type or to write: fenced blocks, indented ones, and code within sentences."""

from __future__ import annotations

import re
import shlex
import textwrap
from dataclasses import dataclass

PROGRAMS = (  # what documents may tell a reader to run
    *("harness", "python", "pip", "tox", "pre-commit", "git", "bash", "cd", ".", "tail", "column"),
    *("tensorboard", "mlflow", "trackio"),
)


@dataclass(frozen=True)
class Command:
    """A program with its arguments, as a shell would start it."""

    program: str
    arguments: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Block:
    """A fenced block, or a paragraph of an indented one."""

    line: int  # of its first line of text, from 1
    language: str  # that its fence names; "" of what is indented
    text: str
    file: str = ""  # that the line above a fence names: `FILE`:

    @property
    def lines(self) -> list[str]:
        """Its lines where all of them are commands, else none."""
        lines = self.text.splitlines()
        return lines if all(map(commands_of, lines)) else []


def blocks_of(text: str) -> list[Block]:
    """The blocks of a document in markdown, in their order."""
    lines, found, at = text.splitlines(), [], 0
    while at < len(lines):
        fence = re.match(r" *(`{3,}|~{3,})(\w*)", lines[at])
        if fence:
            end = next(n for n in range(at + 1, len(lines)) if lines[n].strip() == fence[1])
            named = re.fullmatch(r"`([^`]+)`:", lines[at - 2]) if at > 1 else None
            found.append(_block(lines, at + 1, end, fence[2], named[1] if named else ""))
            at = end + 1
        elif lines[at].startswith("    ") and not (at and lines[at - 1].strip()):
            end = next((n for n in range(at, len(lines)) if not lines[n].startswith("    ")), len(lines))
            found.append(_block(lines, at, end))
            at = end
        else:
            at += 1
    return found


def _block(lines: list[str], start: int, end: int, language: str = "", file: str = "") -> Block:
    return Block(start + 1, language, textwrap.dedent("\n".join(lines[start:end])) + "\n", file)


def spans_of(text: str) -> list[tuple[int, str]]:
    """The commands within the sentences and tables of a document, with their lines."""
    prose = re.sub(r"^ *```.*?^ *```$", lambda fence: "\n" * fence[0].count("\n"), text, flags=re.MULTILINE | re.DOTALL)
    spans = [
        (prose.count("\n", 0, found.start()) + 1, " ".join(found[1].split()))
        for found in re.finditer(r"(?<!`)`([^`]+)`(?!`)", prose)
    ]
    return [(line, span) for line, span in spans if " " in span and commands_of(span)]


def typed_of(line: str) -> str:
    """What of a line is typed: it may begin with the name of a machine and end with a remark, some blanks apart."""
    return re.split(r" {3,}", re.sub(r"^machine [A-Z] +", "", line))[0]


def commands_of(line: str) -> list[Command]:
    """The commands of a line, without redirections; none where it begins with none of PROGRAMS."""
    lexer = shlex.shlex(typed_of(line), posix=True, punctuation_chars="&>")
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:
        return []
    found = []
    while words:
        end = words.index("&&") if "&&" in words else len(words)
        command, words = words[: words.index(">") if ">" in words[:end] else end], words[end + 1 :]
        n = next((n for n, word in enumerate(command) if not re.match(r"[A-Z_]+=", word)), 0)
        if not command or command[n] not in PROGRAMS:
            return []
        settings = tuple((name, value) for name, _, value in (word.partition("=") for word in command[:n]))
        found.append(Command(command[n], tuple(command[n + 1 :]), settings))
    return found
