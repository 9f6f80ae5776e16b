"""A planted key is looked for everywhere: files, logs, errors, tracebacks with local variables, the process list."""

from __future__ import annotations

import copy
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crowdllm.errors import ConfigError
from crowdllm.llm.openai import OpenAIBackend
from crowdllm.llm.protocol import Prompt, Request, Sampling
from crowdllm.llm.secret import read_key

KEY = "sk-planted-0123456789abcdef"

COMMON = """
import faulthandler, logging, os, resource, sys
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
import rich.pretty, rich.traceback
rich.traceback.install(show_locals=True, locals_max_length=None, locals_max_string=None, suppress=())
logging.basicConfig(level=logging.DEBUG, filename={log!r})
from crowdllm.errors import CrowdLLMError
from crowdllm.llm import chat_api, openai
from crowdllm.llm.cache import CachedBackend, export_cache
from crowdllm.llm.openai import OpenAIBackend
from crowdllm.llm.protocol import Prompt, Request, Sampling
backend = OpenAIBackend("m", {url!r}, tries=2, backoff=0.01, concurrency=2)
cached = CachedBackend(backend, {cache!r})
def ask(*texts, **sampling):
    return cached.ask([Request(Prompt(str(i), text)) for i, text in enumerate(texts)], Sampling(**sampling))
"""

SCRIPTS = {
    "a run": """
for answer in ask("a", "b", "[[tell_key]]", "[[error_500]]", "[[reset]]", "[[status_400]]"):
    print(answer)
print(open("/proc/self/cmdline").read(), open("/proc/self/comm").read(), sys.argv)
export_cache({cache!r}, {cache!r} + ".jsonl")
""",
    "every way to print": """
import dataclasses, pprint
print(repr(backend), str(backend), dataclasses.replace(backend), cached)
pprint.pprint(vars(backend)); pprint.pprint(vars(backend._caller)); pprint.pprint(vars(backend._caller.server))
rich.pretty.pprint(backend, expand_all=True); rich.pretty.pprint(vars(backend._caller.server))
with backend._caller.server.connect() as client:
    rich.pretty.pprint(vars(client)); print(client, client.headers, client.auth, vars(client.auth))
""",
    "a server that repeats the key": """
print(list(ask("[[echo_key]]")))
""",
    "a wrong key in scores": """
print(list(ask("[[echo_key]]", scores=True)))
""",
    "a bug in the HTTP stack": """
import h11
def broken(self, event):
    hidden = list(getattr(event, "headers", []))
    raise RuntimeError("broken")
h11.Connection.send = broken
answers = list(ask("a"))
print(answers)
raise ValueError(answers)
""",
    "a bug in reading replies": """
def broken(reply, draws):
    raise ZeroDivisionError("a bug")
chat_api.read_choices = broken
list(ask("a"))
""",
    "a bug of the one who asks": """
for answer in ask("a", "b"):
    1 / 0
""",
    "an abort": """
for answer in ask("a", "b"):
    faulthandler.dump_traceback(all_threads=True)
    os.abort()
""",
    "no server": """
backend = OpenAIBackend("m", "http://127.0.0.1:9", tries=1)
list(backend.ask([Request(Prompt("p", "a"))], Sampling()))
""",
}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_a_planted_key_shows_nowhere(fault_server: Callable[..., Any], tmp_path: Path, script: str) -> None:
    server = fault_server("--logprobs", "20")
    values = {"url": server.url, "log": str(tmp_path / "debug.log"), "cache": str(tmp_path / "c.sqlite")}
    environment = {**os.environ, "OPENAI_API_KEY": KEY, "PYTHONFAULTHANDLER": "1", "COLUMNS": "200"}
    code = (COMMON + script).format(**values)
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", code], capture_output=True, text=True, timeout=60, env=environment
    )
    shown = "\n".join((done.stdout, done.stderr))
    assert KEY not in shown.replace("\n", ""), shown
    assert KEY not in "".join(shown.split()).replace("│", ""), shown  # also not across lines or a box's border
    for path in tmp_path.iterdir():
        assert KEY.encode() not in path.read_bytes(), path
    if "127.0.0.1:9" not in script and "h11" not in script and "vars(client)" not in script:
        assert any(line["key"] for line in server.lines()), "the key was not used, so that nothing is proven"
    assert shown.strip()


def test_the_crash_with_local_variables_shows_them(fault_server: Callable[..., Any], tmp_path: Path) -> None:
    """So that the test above cannot pass by seeing nothing."""
    leaky = "secret = os.environ['OPENAI_API_KEY']\n1 / 0\n"
    values = {"url": fault_server().url, "log": str(tmp_path / "debug.log"), "cache": str(tmp_path / "c.sqlite")}
    code = (
        COMMON.format(**values)
        + f"def crash():\n    secret = os.environ['OPENAI_API_KEY']\n    1 / 0\ncrash()\n{leaky}"
    )
    environment = {**os.environ, "OPENAI_API_KEY": KEY}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=environment)
    assert KEY in done.stderr


def test_the_key_is_sent_and_scrubbed_from_answers(
    fault_server: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTHER_KEY", KEY)
    server = fault_server()
    backend = OpenAIBackend("m", server.url, key_variable="OTHER_KEY")
    (answer,) = backend.ask([Request(Prompt("p", "[[tell_key]]"))], Sampling())
    assert answer.texts == ("Rating: 3 Bearer [API key]",)
    assert [line["key"] for line in server.lines()] == [True]


def test_without_a_key_none_is_sent(fault_server: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    server = fault_server()
    list(OpenAIBackend("m", server.url).ask([Request(Prompt("p", "a"))], Sampling()))
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    list(OpenAIBackend("m", server.url, key_variable="").ask([Request(Prompt("p", "a"))], Sampling()))
    assert [line["key"] for line in server.lines()] == [False, False]


@pytest.mark.parametrize("value", ["sk a", "sk\nx", "sk-é", "sk\x00", "sk\x7f"[:3]])
def test_a_value_that_is_no_key_is_refused_without_showing_it(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    if "\x00" in value:
        monkeypatch.setattr(os, "environ", {"OPENAI_API_KEY": value})
    else:
        monkeypatch.setenv("OPENAI_API_KEY", value)
    with pytest.raises(ConfigError, match="OPENAI_API_KEY holds") as caught:
        read_key("OPENAI_API_KEY")
    assert "sk" not in str(caught.value)


def test_a_key_cannot_be_written_or_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", f" {KEY}\n")  # blanks around it are a slip
    key = read_key("OPENAI_API_KEY")
    assert key.bearer() == f"Bearer {KEY}"
    assert repr(key) == "Key('OPENAI_API_KEY', set)"
    assert KEY not in f"{key} {key!r} {[key]}"
    for write in (pickle.dumps, copy.deepcopy, json.dumps):
        with pytest.raises(TypeError):
            write(key)
    assert not read_key("")
    assert read_key("").scrubbed("") == ""
    assert key.scrubbed(f"a{KEY}b{KEY}") == "a[API key]b[API key]"
