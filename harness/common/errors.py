"""What can go wrong, as the user meets it: one line that says what is wrong, what was found, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from harness.common.text import printable


class HarnessError(Exception):
    """The user can mend this. The command line prints it as one line and exits with status 2.

    As text its control characters are escaped, since messages name files, and files may have any name.
    """

    def __str__(self) -> str:
        return printable(super().__str__())


class UnknownName(HarnessError):
    """A name that nothing installed answers to."""

    def __init__(self, kind: str, name: str, known: Iterable[str], label: str = "Known") -> None:
        self.known = sorted(known)
        known = f"{label}: {', '.join(self.known)}" if self.known else "There are none"
        super().__init__(f"unknown {kind} {name!r}.{suggestion(name, self.known)} {known}")


class DataError(HarnessError):
    """Data that is missing, damaged, or not the dataset it is said to be."""


class DamagedImage(DataError):
    """An image that cannot be read."""


class NotPrepared(DataError):
    """A dataset that has not been prepared on this machine."""


class PluginError(HarnessError):
    """A plugin that breaks the contract of harness/contract/hooks.py."""


class RunsError(HarnessError):
    """A run folder that cannot be written, read or compared."""


class CannotWrite(HarnessError):
    """A file that cannot be written: no room, a folder that is gone, read-only or another user's."""


def suggestion(name: str, known: Iterable[str]) -> str:
    """`` Did you mean 'protonet'?`` where something known is near to ``name``, or has it for initials; else nothing."""
    by_case = {candidate.lower(): candidate for candidate in known}
    initials = {"".join(word[:1] for word in candidate.split("_")): candidate for candidate in reversed(by_case)}
    near = difflib.get_close_matches(name.lower(), by_case, n=1, cutoff=0.5)
    meant = initials.get(name.lower()) or (near[0] if near else None)
    return f" Did you mean {by_case[meant]!r}?" if meant else ""


def one_line(error: BaseException) -> str:
    """The error as a single line: its type where the message alone would not say what happened."""
    text = printable(" ".join(str(error).split()))
    return (
        text if isinstance(error, HarnessError) else f"{type(error).__name__}: {text}" if text else type(error).__name__
    )
