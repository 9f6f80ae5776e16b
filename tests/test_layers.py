"""Imports go one way: each part of the package knows only those below it, and no module waits for itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import crowdllm

ROOT = Path(crowdllm.__file__).parent
LAYERS = (
    ("errors", "registry", "rng", "config"),
    ("data", "responses"),
    ("datasets", "llm", "embedding", "profiles", "aggregation", "evaluation"),
    ("reference", "elicitation", "belief"),
    ("simulation",),
    ("survey_tuning", "exchange"),
    ("methods",),
    ("estimation",),
    ("report",),
    ("experiments",),
    ("api",),
    ("integrations",),
    ("studio",),
    ("cli",),
    ("__main__",),
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


@dataclass(frozen=True)
class Import:
    """One import of a crowdllm module, with its place; `at_import` unless inside a function or for typing only."""

    by: str
    of: str
    line: int
    at_import: bool


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[Import]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    late = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            known = resolve(name)
            if known:
                yield Import(module_name(path), known, node.lineno, id(node) not in late)


def resolve(name: str) -> str:
    """The longest part of a dotted name that is a module of the package, "" if it is another's."""
    while name.partition(".")[0] == "crowdllm":
        if name in MODULES:
            return name
        name = name.rpartition(".")[0]
    return ""


FILES = sorted(ROOT.rglob("*.py"))
MODULES = {module_name(path): path for path in FILES}
IMPORTS = [found for path in FILES for found in imports(path)]


def part(module: str) -> str:
    """`data` for crowdllm.data.study; "" for the package itself."""
    return [*module.split("."), ""][1]


def test_every_part_of_the_package_has_its_layer() -> None:
    assert {part(module) for module in MODULES} - {""} == set(LEVEL)


def test_the_imports_are_found() -> None:
    """So that the tests below cannot pass by seeing nothing."""
    seen = {(i.by, i.of) for i in IMPORTS}
    assert ("crowdllm.registry", "crowdllm.errors") in seen
    assert ("crowdllm.data.splits", "crowdllm.data.study") in seen  # for typing only
    assert ("crowdllm.cli", "crowdllm") in seen
    assert len(IMPORTS) > 200
    assert any(not i.at_import for i in IMPORTS)


@pytest.mark.parametrize("module", sorted(set(MODULES) - {"crowdllm"}))
def test_a_module_imports_nothing_from_above(module: str) -> None:
    """Imports for typing and inside functions count. The package itself holds the version, and is below all."""
    wrong = [
        f"line {i.line}: {i.of} (layer {LEVEL[part(i.of)]}) from layer {LEVEL[part(module)]}"
        for i in IMPORTS
        if i.by == module and part(i.of) and LEVEL[part(i.of)] > LEVEL[part(module)]
    ]
    assert not wrong, "\n".join(wrong)


def test_parts_of_one_layer_do_not_need_each_other_in_a_circle() -> None:
    """But for data and responses, which describe each other: a cell is read by a type, a type reads a cell."""
    edges = {
        (part(i.by), part(i.of))
        for i in IMPORTS
        if part(i.by) and part(i.of) and part(i.by) != part(i.of) and LEVEL[part(i.by)] == LEVEL[part(i.of)]
    }
    assert {edge for edge in edges if edge[::-1] in edges} <= {("data", "responses"), ("responses", "data")}


def test_no_module_needs_itself_to_be_imported() -> None:
    """The imports that run when a module loads have no cycle (a package loads before its modules)."""
    needs: dict[str, set[str]] = {module: set() for module in MODULES}
    for i in IMPORTS:
        if i.at_import:
            needs[i.by].add(i.of)
    done: set[str] = set()
    path: list[str] = []

    def visit(module: str) -> None:
        assert module not in path, f"import cycle: {' -> '.join([*path[path.index(module) :], module])}"
        if module in done:
            return
        path.append(module)
        for other in sorted(needs[module]):
            visit(other)
        path.pop()
        done.add(module)

    for module in MODULES:
        visit(module)
    assert done == set(MODULES)


def test_only_the_package_itself_names_everything() -> None:
    """`crowdllm/__init__.py` imports its public names for typing only."""
    assert not [i for i in IMPORTS if i.by == "crowdllm" and i.at_import]
