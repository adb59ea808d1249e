"""What a file imports, read from its text: at the top, for types alone, or inside functions."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]


def imported_names(text: str) -> Iterator[str]:
    """Dotted names: ``a.b`` of ``import a.b``, and ``a.b.c`` of ``from a.b import c``."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not used here"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def modules(folder: Path) -> dict[str, Path]:
    """Every module of a package by its dotted name."""
    return {_dotted(path.relative_to(folder.parent)): path for path in sorted(folder.rglob("*.py"))}


def import_graph(folder: Path) -> dict[str, set[str]]:
    """For each module of a package the modules of that package that it imports."""
    paths = modules(folder)
    graph: dict[str, set[str]] = {}
    for module, path in paths.items():
        names = set(imported_names(path.read_text(encoding="utf-8")))
        imported = {name if name in paths else name.rpartition(".")[0] for name in names}
        graph[module] = (imported & paths.keys()) - {module}
    return graph


def cycles(graph: dict[str, set[str]]) -> list[set[str]]:
    """Groups of modules each of which imports, in one step or several, all others of its group."""
    reached = {module: _reachable(graph, module) for module in graph}
    groups: list[set[str]] = []
    for module in graph:
        group = {other for other in reached[module] if module in reached[other]}
        if group and group not in groups:
            groups.append(group)
    return groups


def _reachable(graph: dict[str, set[str]], start: str) -> set[str]:
    reached: set[str] = set()
    waiting = [start]
    while waiting:
        fresh = graph[waiting.pop()] - reached
        reached |= fresh
        waiting += fresh
    return reached


def _dotted(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")
