"""A reader who types what a document says, line by line, in a folder of their own."""

from __future__ import annotations

import ast
import importlib
import logging
import re
import sys
import tomllib
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from harness.bench.plan import load_plan
from harness.catalogue.catalogue import Catalogue
from harness.cli.settings import SETTINGS, read_settings
from tests.helpers.command import run_here
from tests.helpers.command_lines import (
    ROOT,
    Wrong,
    accept,
    check_environments,
    check_extras,
    check_syntax,
    is_name,
)
from tests.helpers.documents import Block, Command, blocks_of, commands_of, spans_of, typed_of
from tests.helpers.plugins import install


@dataclass
class Reader:
    """Reads a document.

    Commands of the harness are run in this process, those of other programs looked over. Python is executed, TOML read,
    and a file that a block belongs to written. Any other block names files that are there, or was printed before.
    """

    folder: Path  # where everything is typed; it holds what documents take for granted
    words: Mapping[str, str] = field(default_factory=dict)  # what documents leave open → what stands there here
    names: Mapping[str, Any] = field(default_factory=dict)  # the same, of Python
    before: Mapping[str, str] = field(default_factory=dict)  # command → flags that the document's go before
    behind: Mapping[str, str] = field(default_factory=dict)  # command → flags that go before the document's
    untried: tuple[str, ...] = ()  # beginnings of what cannot be run here: of commands only the flags are checked
    met: set[str] = field(default_factory=set)  # those of ``untried`` that the document has
    printed: str = ""
    shown: str = ""  # the last Python that belongs to no file
    typed: set[str] = field(default_factory=set)

    def read(self, text: str) -> list[str]:
        """All of a document. Returns a line for each thing in it that is wrong."""
        blocks = [(block.line, block) for block in blocks_of(text)]
        mistakes = []
        for line, what in sorted([*blocks, *spans_of(text)], key=lambda found: found[0]):
            try:
                self.block(what) if isinstance(what, Block) else self.span(what)
            except Wrong as error:
                mistakes.append(f"line {line}: {error}")
            except Exception as error:
                mistakes.append(f"line {line}: {type(error).__name__}: {error}")
        return mistakes

    def block(self, block: Block) -> None:
        if not block.lines and self.is_untried(block.text):
            return
        text = self.filled(block.text)
        if block.file:
            self.write(block.file, text)
        if block.language == "python":
            self.python(text)
            self.shown = "" if block.file else text
        elif block.language == "toml":
            self.toml(text)
        elif block.lines:
            for line in block.lines:
                self.line(line)
        elif block.language in ("", "text"):
            self.other(text)
        else:
            raise Wrong(f"{block.language} that is neither Python nor TOML, or a line that is no command")

    def span(self, text: str) -> None:
        """A command within a sentence. One without arguments is its name."""
        [command, *_] = commands_of(text)
        if command.program != "harness" or not (command.arguments == ("--help",) or is_name(command.arguments)):
            self.line(text)

    def line(self, line: str) -> None:
        filled = self.filled(typed_of(line))
        if filled in self.typed:
            return
        self.typed.add(filled)
        untried = self.is_untried(line)
        check_syntax(filled)
        for command in commands_of(filled):
            if command.program != "harness":
                self.look_over(command)
            elif untried:
                accept(without_dots(command.arguments))
            else:
                self.run(command)

    def is_untried(self, text: str) -> bool:
        found = {start for start in self.untried if text.startswith(start)}
        self.met |= found
        return bool(found)

    def filled(self, text: str) -> str:
        """``text`` with what stands here in place of what it leaves open."""
        for pattern, value in self.words.items():
            text = re.sub(pattern, value, text)
        return text

    def run(self, command: Command) -> None:
        """Run a command of the harness: it ends well, and prints something or writes its file."""
        arguments = [found for word in without_dots(command.arguments) for found in self.matching(word)]
        n = next((n for n in (2, 1) if " ".join(arguments[:n]) in {*self.before, *self.behind}), 1)
        before, behind = (flags.get(" ".join(arguments[:n]), "").split() for flags in (self.before, self.behind))
        with pytest.MonkeyPatch.context() as patch:
            for name, value in command.environment:
                patch.setenv(name, value)
            patch.setattr(logging.getLogger("harness"), "handlers", [logging.StreamHandler(told := StringIO())])
            ended = run_here(self.folder, *arguments[:n], *before, *arguments[n:], *behind)
        self.printed += ended.stdout + ended.stderr + told.getvalue()
        line = " ".join(["harness", *command.arguments])
        if ended.returncode:
            raise Wrong(f"{line} ended with {ended.returncode}: {ended.stderr or ended.stdout}")
        files = [self.folder / file for flag, file in pairwise(arguments) if flag == "-o"]
        if not all(path.stat().st_size for path in files) or not (files or ended.stdout or ended.stderr):
            raise Wrong(f"{line} printed or wrote nothing")

    def matching(self, word: str) -> list[str]:
        """The paths that a word names in which … stands for what a reader sees there."""
        if "…" not in word or "/" not in word:
            return [word]
        return [str(path.relative_to(self.folder)) for path in self.folder.glob(word.replace("…", "*"))] or [word]

    def look_over(self, command: Command) -> None:
        """A command of another program: what it names is there. A project of the reader's own, pip then installs."""
        for word in command.arguments:
            if word.endswith("]"):
                check_extras(word)
            elif ("/" in word or word.endswith(".txt")) and not word.startswith(".venv/"):
                self.place(word)
            if command.program == "pip" and (self.folder / word / "pyproject.toml").is_file():
                install(self.folder / word, self.site)
        if command.program == "tox":
            check_environments(command.arguments)

    def place(self, name: str) -> Path:
        """What is there under a name: in the reader's folder, in the project, or a tracker's in a run folder."""
        found = [path for folder in (self.folder, ROOT) for path in folder.glob(name.rstrip("/"))]
        if found:
            return found[0]
        folder, _, tracker = name.rpartition("/")
        if folder != "runs/trackers" or tracker not in Catalogue.discover().trackers:
            raise Wrong(f"there is no {name}")
        return self.folder / name

    def python(self, text: str) -> None:
        """Execute it, and the tests in it; what is a plugin then must be a sound one."""
        importlib.invalidate_caches()
        module = types.ModuleType("shown")
        vars(module).update(self.names)
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.folder)
            exec(compile(text, "shown", "exec"), vars(module))
            for test in [value for name, value in vars(module).items() if name.startswith("test_")]:
                test()
        broken = Catalogue([("shown", module)]).broken
        if broken:
            raise Wrong(broken[0].reason)

    def toml(self, text: str) -> None:
        """Read it as what it is: a project with an entry point, the settings of a machine, or a plan."""
        values = tomllib.loads(text)
        if "project" in values:
            [module] = values["project"]["entry-points"]["harness"].values()
            if self.shown:
                self.install_shown(text, module)
        elif {*values} <= {*SETTINGS}:
            read_settings(self.write("read.toml", text))
        else:
            load_plan(self.write("read.toml", text), {})

    def install_shown(self, entry_point: str, module: str) -> None:
        """Install the plugin that was shown last, of whose project file a part is shown."""
        name = module.replace("_", "-")
        project = f"[project]\nname = '{name}'\nversion = '1'\ndependencies = []\n{entry_point}"
        self.write(f"{name}/pyproject.toml", f"{project}[tool.setuptools]\npy-modules = ['{module}']\n")
        self.write(f"{name}/{module}.py", self.shown)
        install(self.folder / name, self.site)
        self.shown = ""

    def other(self, text: str) -> None:
        """What was printed, names of files, settings, or a line of Python."""
        first, *rest = text.splitlines()
        shown = first if rest and rest[0].startswith("--") else text  # of a table its header
        if " ".join(shown.split()) in " ".join(self.printed.split()):
            return
        if "/" in first.split()[0]:
            for word in text.split():
                if "/" in word:
                    self.place(word.replace("…", "*"))
        elif is_read_by(tomllib.loads, text):
            self.toml(text)
        elif is_read_by(ast.parse, text):
            self.python(f"import harness\n{text}")
        else:
            raise Wrong(f"{first!r} begins neither commands nor Python nor TOML, names no file and was not printed")

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    @cached_property
    def site(self) -> Path:
        """Where Python finds what the reader has installed, until they leave."""
        path = self.folder / "site"
        path.mkdir()
        sys.path.insert(0, str(path))
        return path

    def leave(self) -> None:
        sys.path[:] = [path for path in sys.path if path != str(self.folder / "site")]
        for name, module in list(sys.modules.items()):
            if str(self.folder) in (getattr(module, "__file__", None) or ""):
                del sys.modules[name]
        importlib.invalidate_caches()


def is_read_by(parse: Callable[[str], object], text: str) -> bool:
    try:
        parse(text)
    except (SyntaxError, ValueError):
        return False
    return True


def without_dots(words: tuple[str, ...]) -> list[str]:
    """Words without … that stand for flags; after a flag it is the flag's value."""
    return [word for before, word in pairwise(("", *words)) if word != "…" or before.startswith("-")]
