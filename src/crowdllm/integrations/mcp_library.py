"""The folder that the MCP server may read: what is in it, and what has been loaded of it.

Nothing outside the folder is read, be it by `..`, an absolute path or a link, and nothing is written.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crowdllm.data.study import Study
from crowdllm.errors import CrowdLLMError, nearest

LONGEST, MOST_FOLDERS, MOST_FILES, DEEPEST = 2_000, 2_000, 100_000, 4
STUDY, CROWD, MODEL, ESTIMATES = "study", "simulated crowd", "fitted model", "estimates"
MOST_LOADED = 6
Json = dict[str, Any]


@dataclass
class Library:
    """The folder that a server may read, and what it has loaded (the last few, by name and time of change)."""

    root: Path
    loaded: dict[tuple[str, float], Any] = field(default_factory=dict)

    def place(self, name: str) -> Path:
        """The folder of this name inside the root; raises CrowdLLMError for a name that leads out of it or nowhere."""
        root = self.root.resolve()
        try:
            path = (root / name).resolve()
            inside, there = path.is_relative_to(root), path.is_dir()
        except (OSError, ValueError, RuntimeError):  # a null byte, a name too long, a circle of links
            raise CrowdLLMError(f"{short(name, 80)!r} is no name of a folder") from None
        if not inside:
            raise CrowdLLMError(f"{short(name, 80)!r} lies outside the folder that this server was given")
        if not there:
            near = nearest(name, [entry["name"] for entry in list_folders(self)])
            hint = f"; did you mean {near!r}?" if near else ""
            raise CrowdLLMError(f"there is no folder {short(name, 80)!r}{hint}; list_studies says what there is")
        self._require_no_way_out(path, root)
        return path

    def _require_no_way_out(self, path: Path, root: Path) -> None:
        """Links inside a folder may not lead out of the root either."""
        for inner in _inside(path):
            if inner.is_symlink() and not inner.resolve().is_relative_to(root):
                raise CrowdLLMError(f"{short(inner.name, 80)!r} in it is a link that leads out of the server's folder")

    def study(self, name: str) -> Study:
        """A study or simulated crowd; raises CrowdLLMError where the folder holds none that can be used."""
        from crowdllm.experiments.sources import open_study

        return self._kept(self.place(name), lambda path: open_study(str(path)).study)

    def model(self, name: str) -> Any:
        """A fitted crowd and its hash."""
        from crowdllm.belief.checkpoint import load_model, read_meta

        return self._kept(self.place(name), lambda path: (load_model(path), read_meta(path)["model_hash"]))

    def _kept(self, path: Path, load: Callable[[Path], Any]) -> Any:
        key = (str(path), changed(path))
        if key not in self.loaded:
            self.keep(key, load(path))
        return self.loaded[key]

    def keep(self, key: tuple[str, float], value: Any) -> None:
        """Hold a value, and forget the oldest where there are too many."""
        while len(self.loaded) >= MOST_LOADED:
            self.loaded.pop(next(iter(self.loaded)))
        self.loaded[key] = value


def short(text: object, longest: int = LONGEST) -> str:
    """A text cut to a length, with a sign that it was."""
    whole = str(text)
    return whole if len(whole) <= longest else whole[: longest - 1] + "…"


def _inside(folder: Path) -> Iterator[Path]:
    """Everything in a folder, however deep; links are named, not followed."""
    seen = 0
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            seen += 1
            if seen > MOST_FILES:
                raise CrowdLLMError(f"{short(folder.name, 80)!r} holds more than {MOST_FILES:,} files")
            yield Path(place, name)


def kind_of(folder: Path) -> str:
    """What a folder holds, from the names of its files and its meta.json; "" for none of these."""
    from crowdllm.simulation.run import read_run_meta

    if (folder / "study.toml").is_file():
        return CROWD if read_run_meta(folder) is not None else STUDY
    if (folder / "model.json").is_file() and (folder / "meta.json").is_file():
        return MODEL
    return ESTIMATES if (folder / "estimates.csv").is_file() else ""


def list_folders(library: Library) -> list[Json]:
    """name and kind of each study, simulated crowd, model and folder of estimates under the root, a few levels deep."""
    root = library.root.resolve()
    out: list[Json] = []
    queue, seen = [(root, 0)], 0
    while queue and seen < MOST_FOLDERS:
        folder, depth = queue.pop(0)
        seen += 1
        kind = kind_of(folder)
        if kind:
            out.append({"name": "." if folder == root else folder.relative_to(root).as_posix(), "kind": kind})
            continue
        if depth < DEEPEST:
            try:
                inner = sorted(p for p in folder.iterdir() if p.is_dir() and not p.is_symlink() and p.name[:1] != ".")
            except OSError:
                continue
            queue += [(p, depth + 1) for p in inner]
    return out


def changed(folder: Path) -> float:
    """A number that is another one when a file of the folder was written anew."""
    try:
        with os.scandir(folder) as entries:
            return sum(entry.stat().st_mtime for entry in entries if entry.is_file())
    except OSError:
        return 0.0


def require_root(root: Path) -> Path:
    """The folder to serve; raises CrowdLLMError where it is none."""
    if not root.is_dir():
        raise CrowdLLMError(f"--root {root} is no folder; name the folder that holds your studies and models")
    return root.resolve()
