"""Importing the package and asking for help load nothing heavy."""

from __future__ import annotations

import subprocess
import sys

import pytest

from crowdllm.cli import COMMANDS

HEAVY = ("torch", "transformers", "sentence_transformers", "matplotlib", "sklearn", "scipy.stats", "httpx2", "tenacity")
LOADED = f"import sys; print('loaded:', [name for name in {HEAVY!r} if name in sys.modules])"
HELP = """
import sys
from crowdllm.cli import main
sys.argv = ["crowdllm", *{arguments!r}]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
"""


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_package_loads_nothing_heavy_nor_any_table_library() -> None:
    heavy = (*HEAVY, "scipy", "numpy", "pandas")
    assert run(f"import crowdllm; {LOADED.replace(repr(HEAVY), repr(heavy))}") == "loaded: []\n"


def test_a_heavy_import_would_be_seen() -> None:
    assert run(f"import scipy.stats; {LOADED}") == "loaded: ['scipy.stats']\n"


def test_help_shows_every_command_and_loads_nothing_heavy() -> None:
    out = run(HELP.format(arguments=["--help"]) + LOADED)
    *help_lines, loaded = out.splitlines()
    assert loaded == "loaded: []"
    shown = {word for line in help_lines for word in line.split()}
    assert set(COMMANDS) <= shown


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_loads_nothing_heavy(command: str) -> None:
    out = run(HELP.format(arguments=[command, "--help"]) + LOADED)
    assert out.splitlines()[-1] == "loaded: []"
    assert f"crowdllm {command}" in out


@pytest.mark.parametrize(
    "module",
    ["crowdllm.data.study_folder", "crowdllm.responses", "crowdllm.datasets", "crowdllm.llm", "crowdllm.methods"],
)
def test_reading_studies_and_registries_loads_no_torch(module: str) -> None:
    assert run(f"import {module}; {LOADED}") == "loaded: []\n"
