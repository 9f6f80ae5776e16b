"""Lay out the pages of the documentation in build/docs: docs/, tutorials made of their scripts, and the reference.

    python script/make_docs.py [FOLDER]

A tutorial is a script: its docstring is the introduction, comments that begin with `# %%` are the text between the
pieces of code. The reference is made of the docstrings of the public names and of the commands.
"""

from __future__ import annotations

import inspect
import re
import shutil
import sys
from pathlib import Path

import crowdllm

ROOT = Path(__file__).resolve().parent.parent
MISSING = "*This page is not written yet.*\n"


def tutorial(script: Path) -> str:
    """A script as a page."""
    source = script.read_text(encoding="utf-8")
    found = re.match(r'"""(.*?)"""\n', source, re.S)
    assert found, f"{script} has no docstring"
    title, _, rest = found[1].partition("\n")
    pages = [f"# {title}", rest.strip(), f"The script: `python docs/tutorials/{script.name}`."]
    for piece in re.split(r"^# %% ?", source[found.end() :], flags=re.M)[1:]:
        lines = piece.splitlines()
        text = [lines[0]]
        rest_of = lines[1:]
        while rest_of and rest_of[0].startswith("# "):
            text.append(rest_of.pop(0)[2:])
        code = re.sub(r"  # noqa.*", "", "\n".join(rest_of)).strip()
        pages.append(" ".join(text))
        if code:
            pages.append(f"```python\n{code}\n```")
    return "\n\n".join(pages) + "\n"


def reference() -> str:
    """Every public name with its signature and docstring, and every command."""
    from crowdllm.cli import COMMANDS
    from crowdllm.registry import lookup

    pages = ["# Reference", "Made of the docstrings. Shapes are in capital letters: see Concepts.", "## Python"]
    for name in crowdllm.__all__:
        found = getattr(crowdllm, name)
        if not callable(found):
            continue
        try:
            signature = str(inspect.signature(found))
        except ValueError:
            signature = "(...)"
        if len(signature) > 88:
            signature = "(\n    " + ",\n    ".join(_arguments(signature)) + "\n)"
        pages.append(f"### {name}\n\n```python\ncrowdllm.{name}{signature}\n```")
        pages.append(_text(inspect.getdoc(found) or ""))
        for method, thing in inspect.getmembers(found, _documented) if inspect.isclass(found) else ():
            if not method.startswith("_"):
                pages.append(f"`{name}.{method}`: {_text(inspect.getdoc(thing) or '')}")
    pages.append("## Commands\n\n`crowdllm COMMAND -h` lists the options.")
    for name in COMMANDS:
        words = (inspect.getdoc(lookup(COMMANDS, name, "command")) or "").splitlines()
        pages.append(f"- `crowdllm {name}`: {words[0]}")
    return "\n\n".join(pages) + "\n"


def _documented(thing: object) -> bool:
    return bool(inspect.isfunction(thing) or isinstance(thing, property)) and bool(inspect.getdoc(thing))


def _arguments(signature: str) -> list[str]:
    """The parameters, split at commas outside of brackets; what it returns is left out."""
    inner, depth, parts = signature[1 : signature.rindex(")")], 0, [""]
    for letter in inner:
        depth += (letter in "[(") - (letter in ")]")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def _text(docstring: str) -> str:
    """Indented parts of a docstring are lists or code: kept as they stand; angle brackets are text."""
    return docstring.replace("<", "&lt;")


def make_docs(target: Path) -> list[Path]:
    """Write all pages into a fresh folder; returns those of the navigation that have no source."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(ROOT / "docs", target, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    (target / "tutorials").mkdir(exist_ok=True)
    for script in sorted((ROOT / "docs" / "tutorials").glob("*.py")):
        (target / "tutorials" / f"{script.stem}.md").write_text(tutorial(script), encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8").replace("](docs/", "](")
    (target / "index.md").write_text(readme, encoding="utf-8")
    (target / "changes.md").write_text((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), encoding="utf-8")
    (target / "reference.md").write_text(reference(), encoding="utf-8")
    named = re.findall(r'= "([\w/.-]+\.md)"', (ROOT / "zensical.toml").read_text(encoding="utf-8"))
    return [target / name for name in named if not (target / name).is_file()]


def main() -> None:
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "docs"
    missing = make_docs(target)
    if missing:
        sys.exit(f"zensical.toml names pages that are not there: {', '.join(str(page) for page in missing)}")
    print(f"wrote {target}")


if __name__ == "__main__":
    main()
