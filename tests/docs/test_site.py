"""The documentation is complete, builds without a network, and fetches nothing when it is read."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import crowdllm

ROOT = Path(__file__).resolve().parents[2]
FETCHED = re.compile(r"""<(?:script|link|img|iframe|source)\b[^>]*?(?:src|href)=["']?(https?:)?//""")


@pytest.fixture(scope="module")
def make_docs() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_docs", ROOT / "script" / "make_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_page_of_the_navigation_is_there(make_docs: ModuleType, tmp_path: Path) -> None:
    assert make_docs.make_docs(tmp_path / "docs") == []


def test_every_page_is_in_the_navigation() -> None:
    named = (ROOT / "zensical.toml").read_text(encoding="utf-8")
    assert not [page.name for page in (ROOT / "docs").glob("*.md") if f'"{page.name}"' not in named]


def test_every_local_link_leads_somewhere(make_docs: ModuleType, tmp_path: Path) -> None:
    make_docs.make_docs(tmp_path / "docs")
    dead = []
    for page in (tmp_path / "docs").rglob("*.md"):
        for link in re.findall(r"\]\(([^)#\s]+)\)", page.read_text(encoding="utf-8")):
            if not re.match(r"[a-z]+:", link) and not (page.parent / link).exists():
                dead.append(f"{page.name}: {link}")
    assert not dead, dead


def test_the_reference_has_every_public_name(make_docs: ModuleType) -> None:
    page = make_docs.reference()
    assert not [name for name in crowdllm.__all__ if name != "__version__" and f"### {name}\n" not in page]


def test_a_tutorial_becomes_text_and_code(make_docs: ModuleType, tmp_path: Path) -> None:
    script = tmp_path / "one.py"
    script.write_text(
        '"""Title.\n\nIntro.\n"""\n\n# %% First\n# still text\nx = 1  # noqa: X\n# a comment\n', encoding="utf-8"
    )
    page = make_docs.tutorial(script)
    assert page.startswith("# Title.\n\nIntro.\n")
    assert "First still text\n\n```python\nx = 1\n# a comment\n```" in page


@pytest.mark.slow
def test_the_site_builds_and_fetches_nothing(make_docs: ModuleType, tmp_path: Path) -> None:
    assert make_docs.make_docs(tmp_path / "build" / "docs") == []
    shutil.copy(ROOT / "zensical.toml", tmp_path)
    zensical = Path(sys.executable).with_name("zensical")
    subprocess.run([zensical, "build"], cwd=tmp_path, check=True, capture_output=True, timeout=300)
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 15
    wrong = [page.name for page in pages if FETCHED.search(page.read_text(encoding="utf-8"))]
    assert not wrong
