"""One promise of the contract, and whether it is kept."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass

from harness.common.errors import PluginError, one_line


@dataclass(frozen=True)
class Check:
    """A claim about a plugin, and what speaks against it."""

    claim: str
    problem: str | None = None  # one line; None: the claim holds
    details: str = ""  # a traceback, where there is one


def tried(claim: str, find: Callable[[], str | None]) -> Check:
    """The check of ``claim``; ``find`` returns the problem or None. What it raises is a problem too."""
    try:
        return Check(claim, find())
    except (Exception, SystemExit) as error:
        return Check(claim, one_line(error))


def first(problems: Iterable[str]) -> str | None:
    """The first problem, if there is one."""
    return next(iter(problems), None)


def demand(name: str, checks: Generator[Check, None, None]) -> None:
    """Raises PluginError for the first of ``checks`` that has a problem."""
    with closing(checks):
        for check in checks:
            if check.problem is not None:
                error = PluginError(f"{name}: {check.claim}: no: {check.problem}")
                if check.details:
                    error.add_note(check.details)
                raise error
