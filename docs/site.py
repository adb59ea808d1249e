"""What mkdocs cannot read from docs/ itself: pages made from the code, and links to files outside of docs/."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are made from the code, and the results that other pages point to."""
    pages = {"commands.md": _commands(), "record.md": _record()}
    for path in sorted((ROOT / "benchmarks" / "results").glob("*.md")):
        pages[f"results/{path.name}"] = path.read_text(encoding="utf-8")
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Links to benchmarks/results lead to the copies in the site."""
    return markdown.replace("](../benchmarks/results/", "](results/").replace(
        "](../benchmarks/results)", "](results/statistics.md)"
    )


def _commands() -> str:
    """The help of every command, subcommands included."""
    from harness.cli.commands import COMMANDS, load

    parts = ["# Commands\n", "What `harness COMMAND --help` prints.\n"]
    for listed in COMMANDS:
        parts += _help(load(listed.name), f"harness {listed.name}", None)
    return "\n".join(parts)


def _help(command: Any, name: str, parent: Any) -> list[str]:
    with command.make_context(name, [], resilient_parsing=True, parent=parent) as context:
        parts = [f"## {name}\n", f"```text\n{context.get_help()}\n```\n"]
        for child_name, child in getattr(command, "commands", {}).items():
            parts += _help(child, f"{name} {child_name}", None)
    return parts


def _record() -> str:
    """The record's schema, a section a model."""
    schema = json.loads((ROOT / "docs" / "record.schema.json").read_text(encoding="utf-8"))
    text = json.dumps(schema, indent=2)
    return (
        "# The run record\n\nA run folder holds `benches/ID.json`, a bench each, and a folder for every stage under "
        "`stages/`. This is the JSON schema of what they hold; `docs/record.schema.json` is the same as a file.\n\n"
        f"```json\n{text}\n```\n"
    )
