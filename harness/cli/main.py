"""The command ``harness``: its subcommands are listed in commands.py, a file each; here errors become one line."""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import os
import signal
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from harness.cli.commands import LazyGroup
from harness.cli.terminal import printable_output
from harness.common.errors import HarnessError

INTERRUPTED = 128 + 2  # the exit status of Ctrl-C; newer releases of typer return it themselves

app = typer.Typer(
    name="harness",
    cls=LazyGroup,
    help="Fair comparison of few-shot-learning methods: same splits, same episodes, one table.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", "-V", help="Print the version.", is_eager=True)] = False,
) -> None:
    if version:
        from harness.common.version import __version__

        typer.echo(f"harness {__version__}")
        raise typer.Exit


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns the exit status: 0 all well, 1 some row failed, 2 the user's mistake."""
    _make_streams_writable()
    with printable_output():
        return _run(arguments)


def _run(arguments: Sequence[str] | None) -> int:
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # no notices of folders that it cannot write
    _treat_sigterm_as_interrupt()
    try:
        status = app(args=arguments, standalone_mode=False)
        sys.stdout.flush()
    except HarnessError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        status = INTERRUPTED
    except BrokenPipeError:
        _discard_output()
        return 0
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.EBADF):
            raise
        _discard_output()
        return _fail(f"cannot write: {error.strerror}{f': {error.filename}' if error.filename else ''}")
    except Exception as error:
        if type(error).__name__ != "Abort":  # as which older releases of typer pass on Ctrl-C
            return _report_usage_error(error)
        status = INTERRUPTED
    if status == INTERRUPTED:
        return _fail("interrupted. The same command goes on where it stopped", INTERRUPTED)
    return status if isinstance(status, int) else 0


def _make_streams_writable() -> None:
    """Output that goes nowhere where there is none, and letters that an old encoding lacks as question marks."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _treat_sigterm_as_interrupt() -> None:
    """End as by Ctrl-C, with its line."""
    with contextlib.suppress(ValueError):  # of a thread other than the main one
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def _discard_output() -> None:
    """What is left of the output cannot be written; Python would try once more at its end, and fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _report_usage_error(error: Exception) -> int:
    """One line for what click has to say, as of a misspelt flag; any other error is raised again."""
    if not hasattr(error, "format_message"):
        raise error
    if type(error).__name__ == "NoArgsIsHelpError":
        sys.stderr.write(f"{error.format_message()}\n")
        return 2
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "harness"
    return _fail(f"{error.format_message()} See: {command} --help")


def _fail(message: str, status: int = 2) -> int:
    print(f"harness: {' '.join(message.split())}", file=sys.stderr)  # noqa: T201
    return status


if __name__ == "__main__":
    sys.exit(main())
