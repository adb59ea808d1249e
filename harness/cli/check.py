"""``harness check``: the contract, tried on an installed method."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from harness.common.errors import HarnessError
from harness.contract.names import OptionName


def check(
    name: Annotated[str, typer.Argument(help="An installed method, as harness methods lists it.")],
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="OPTION=VALUE, repeatable: what makes its training short.")
    ] = None,
) -> int:
    """Say which promises of the contract a method keeps, a line each, after training it for seconds on a tiny dataset.

    Exit status 1 where it breaks one.
    """
    from harness.bench.notation import parse_setting
    from harness.catalogue.catalogue import Catalogue
    from harness.catalogue.output import standard_output_kept
    from harness.contract.presets import resolve
    from harness.testing import method_checks

    method = Catalogue.discover().method(name)
    options: dict[str, Any] = {}
    for text in set_ or ():
        option, value = parse_setting(f"{name}.{text.removeprefix(f'{name}.')}")
        options[OptionName.parse(option).option] = value
    if unknown := sorted(set(options) - set(method.options.model_fields)):
        raise HarnessError(f"{name} has no option {unknown[0]!r}. See: harness methods {name}")
    resolve(method, next(iter(method.presets), ""), "", options)  # a value that an option refuses is no plugin's fault
    failed = 0
    checks = method_checks(method, options=options)
    while True:
        with standard_output_kept():
            result = next(checks, None)
        if result is None:
            break
        typer.echo(f"ok    {result.claim}" if result.problem is None else f"FAIL  {result.claim}: {result.problem}")
        sys.stdout.flush()
        if result.details:
            sys.stderr.write(result.details)
        failed += result.problem is not None
    if not method.citation:
        typer.echo("hint  it names no paper: with citation=harness.Citation(…), 'harness cite' gives its BibTeX entry")
    typer.echo(f"{name} keeps the contract" if not failed else f"{name} breaks it in {failed} place(s)")
    return 1 if failed else 0
