"""What a folder is: results of `evaluate`, a crowd of `simulate`, `estimate`s, or a page (`reproduce`, `study run`)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crowdllm.errors import CrowdLLMError

KINDS = {
    "results": "what `crowdllm evaluate` writes (comparison.json and metrics.csv)",
    "crowd": "what `crowdllm simulate` writes (meta.json and distributions.csv)",
    "estimates": "what `crowdllm estimate` writes (estimates.csv)",
    "page": "what `crowdllm reproduce` or `crowdllm study run` writes (index.html)",
}


@dataclass(frozen=True)
class Found:
    """A folder and what it is. about: its meta.json or comparison.json; {} where a page has neither."""

    folder: Path
    kind: str
    about: dict[str, Any]


def find(folder: Path) -> Found:
    """Tell what a folder is by its files.

    Raises CrowdLLMError for a folder that is not there, is not complete, or holds something else.
    """
    if not folder.is_dir():
        raise CrowdLLMError(f"{folder} is not a folder; give one that crowdllm wrote: {'; '.join(KINDS.values())}")
    names = {path.name for path in folder.iterdir()}
    if {"comparison.json", "metrics.csv"} <= names:
        return Found(folder, "results", _json(folder / "comparison.json"))
    if "estimates.csv" in names:
        return Found(folder, "estimates", _json(folder / "meta.json"))
    if {"meta.json", "distributions.csv"} <= names:
        return Found(folder, "crowd", _json(folder / "meta.json"))
    if "index.html" in names:
        return Found(folder, "page", _json(folder / "meta.json") if "meta.json" in names else {})
    if names & {"comparison.json", "parts.jsonl", "experiment.json", "parts"}:
        raise CrowdLLMError(f"{folder} is not complete: give its command again, which continues, and then report")
    raise CrowdLLMError(f"{folder} holds nothing to report; give a folder with {'; or '.join(KINDS.values())}")


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise CrowdLLMError(f"{path.parent} is not complete: {path.name} is missing; give its command again") from None
    except ValueError:
        raise CrowdLLMError(f"{path} is damaged: no JSON; make the folder again") from None
    if not isinstance(content, dict):
        raise CrowdLLMError(f"{path} is damaged: no JSON object; make the folder again")
    return content
