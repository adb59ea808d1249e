"""``harness new``: a plugin of your own to start from, complete and working."""

from __future__ import annotations

import os
import re
import shutil
from importlib import resources
from pathlib import Path
from string import Template
from typing import Annotated

import typer

from harness.common.errors import HarnessError

app = typer.Typer(help="Start a plugin of your own.", no_args_is_help=True)

FILES = {  # template → file; $package is the module's name
    "pyproject.toml.in": "pyproject.toml",
    "README.md.in": "README.md",
    "package.py.in": "$package/__init__.py",
    "training.py.in": "$package/training.py",
    "test.py.in": "tests/test_$package.py",
}


@app.callback()
def new() -> None:
    """Start a plugin of your own."""


@app.command()
def method(
    name: Annotated[str, typer.Argument(help="The method's name in tables: lower case, digits, hyphens.")],
    into: Annotated[Path, typer.Option("--into", help="Folder to make harness-NAME in.")] = Path(),
) -> None:
    """Write a package harness-NAME with a small method that works, its README and its test."""
    folder = write_method(name, into)
    typer.echo(f"{folder}: a cosine classifier to start from. Next:")
    for line in (f"pip install -e {folder}", f"harness check {name}", f"harness bench --methods {name},rfs"):
        typer.echo(f"  {line}")


def write_method(name: str, into: Path) -> Path:
    """The folder ``into/harness-NAME``, whole or not at all.

    Raises:
        HarnessError: the name cannot be one, is taken, or the folder exists or cannot be written.
    """
    _check_name(name)
    folder = into / f"harness-{name}"
    if folder.exists():
        raise HarnessError(f"{folder} exists already: choose another name, or remove it")
    package = f"harness_{name.replace('-', '_')}"
    words = {"name": name, "package": package, "folder": folder.name, "version": _version()}
    unfinished = into / f".harness-{name}.{os.getpid()}.tmp"
    try:
        for template, target in FILES.items():
            path = unfinished / Template(target).substitute(words)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(_filled(template, words), encoding="utf-8")
        unfinished.rename(folder)
    except OSError as error:
        raise HarnessError(f"cannot write {folder}: {error.strerror}") from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def _check_name(name: str) -> None:
    from harness.catalogue.catalogue import Catalogue

    if len(name) > 60:
        raise HarnessError(f"the name {name[:20] + '…'!r} has {len(name)} letters; at most 60 go")
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-0123456789")
        hint = f". Did you mean {slug!r}?" if slug else ", as in 'my-method'"
        raise HarnessError(f"the name {name!r} must be lower-case letters, digits and single hyphens{hint}")
    if name == "all":
        raise HarnessError("--methods all is every installed method: choose another name")
    catalogue = Catalogue.discover()
    if name in catalogue.methods:
        raise HarnessError(f"a method {name!r} is installed already, by {catalogue.owner('method', name)}")


def _filled(template: str, words: dict[str, str]) -> str:
    source = resources.files("harness.cli").joinpath("templates", "method", template)
    return Template(source.read_text(encoding="utf-8")).substitute(words)


def _version() -> str:
    """The version of the contract: what changes it raises the second number."""
    from harness.common.version import __version__

    release = ".".join(__version__.split(".")[:2])
    return f"{release}.dev0" if "dev" in __version__ else release
