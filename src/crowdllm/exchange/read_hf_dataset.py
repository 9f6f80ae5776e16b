"""Read a Hugging Face `datasets` folder: what `save_to_disk` wrote, or a folder of Parquet files (train-*.parquet).

A table that `crowdllm.integrations.hf_dataset` wrote comes back without loss. Any other is read as a plain table, wide
or long, with the names of class labels in place of their numbers; nested columns become JSON. The Arrow files are read
directly: no code of a data set runs, nothing is downloaded or cached.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from crowdllm.data.tables import Cells, number_text
from crowdllm.errors import CrowdLLMError
from crowdllm.exchange.ledger import Ledger, short
from crowdllm.exchange.limits import DamagedFileError, read_bytes, read_json, require_size
from crowdllm.exchange.protocol import LIKELY, NO, SURE, Glance, Imported, Part, Reader, ReadOptions
from crowdllm.exchange.study_rows import is_described, study_of_rows
from crowdllm.exchange.table_import import imported_table

INFO, STATE, DICT = "dataset_info.json", "state.json", "dataset_dict.json"
MOST_ROWS, MOST_FILES, MOST_COLUMNS = 5_000_000, 1_000, 5_000


def sniff(files: Sequence[Glance]) -> int:
    if len(files) != 1 or not files[0].is_folder:
        return NO
    members = set(files[0].members)
    if DICT in members or {INFO, STATE} <= members:
        return SURE
    return LIKELY if _parquet(files[0].path) else NO


def _parquet(folder: Path) -> list[Path]:
    try:
        found = sorted(folder.glob("*-of-*.parquet")) + sorted((folder / "data").glob("*.parquet"))
    except OSError:
        return []
    return found or sorted(folder.glob("*.parquet"))


def read(files: Sequence[Path], options: ReadOptions) -> Imported:
    """The study in a folder; a part per split where each was written by crowdllm, else all splits as one table.

    Raises CrowdLLMError for what is no such folder.
    """
    if len(files) != 1 or not files[0].is_dir():
        raise CrowdLLMError("name the folder that save_to_disk wrote, or that holds the Parquet files")
    folder, ledger = files[0], Ledger()
    splits = _splits(folder, options)
    tables = {name: _load(place, folder, options) for name, place in splits.items()}
    rows = sum(table.num_rows for table, _ in tables.values())
    if rows > MOST_ROWS or any(table.num_columns > MOST_COLUMNS for table, _ in tables.values()):
        raise DamagedFileError(folder, f"has {rows:,} rows; at most {MOST_ROWS:,} are read")
    described = {name: info for name, (_, info) in tables.items() if is_described(_text(info.get("description")))}
    if len(described) == len(tables):
        parts = tuple(
            Part(name or "study", study_of_rows(_columns(table), _text(info["description"])))
            for name, (table, info) in tables.items()
        )
        ledger.understood.append(f"a study written by crowdllm, {rows:,} rows")
        return Imported("", (), parts, tuple(ledger.understood))
    return _plain(folder, tables, options, ledger)


def _plain(
    folder: Path, tables: dict[str, tuple[Any, dict[str, Any]]], options: ReadOptions, ledger: Ledger
) -> Imported:
    """All splits one below the other as a table of text cells, with a column `split` where there are several."""
    lengths = [table.num_rows for table, _ in tables.values()]
    pieces: list[dict[str, Cells]] = []
    for name, (table, info) in tables.items():
        split = {"split": np.full(table.num_rows, name, dtype=object)} if len(tables) > 1 else {}
        pieces.append(_cells(table, info, ledger) | split)
    names = list(dict.fromkeys(column for piece in pieces for column in piece))
    columns = {
        name: np.concatenate([p.get(name, np.full(n, "", dtype=object)) for p, n in zip(pieces, lengths, strict=True)])
        for name in names
    }
    ledger.understood.append(f"Hugging Face data set: {sum(lengths):,} rows, columns {', '.join(columns)}")
    if len(tables) > 1:
        ledger.understood.append(f"splits {', '.join(tables)}: all are read, the column split says which")
    for _, info in tables.values():
        for key in ("license", "citation", "homepage"):
            if _text(info.get(key)):
                ledger.note("not carried over", key, short(_text(info[key]), 300))
    return imported_table(columns, folder.name, options, ledger)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _splits(folder: Path, options: ReadOptions) -> dict[str, Path | list[Path]]:
    """The folders of the splits by name, or the Parquet files of each; "" for a single one."""
    if (folder / DICT).is_file():
        listed = read_json(folder / DICT, options.max_megabytes)
        names = listed.get("splits") if isinstance(listed, dict) else None
        if not isinstance(names, list) or not names or not all(_is_name(name) for name in names):
            raise DamagedFileError(f"{folder.name}/{DICT}", "does not list the splits")
        return {name: folder / name for name in names}
    if (folder / INFO).is_file():
        return {"": folder}
    files = _parquet(folder)
    if not files:
        raise DamagedFileError(folder, f"has no {INFO} and no Parquet files")
    out: dict[str, Path | list[Path]] = {}
    for path in files[:MOST_FILES]:
        name = path.stem.partition("-of-")[0].rpartition("-")[0] or path.stem
        held = out.setdefault(name, [])
        if isinstance(held, list):
            held.append(path)
    return out if len(out) > 1 else {"": next(iter(out.values()))}


def _is_name(name: Any) -> bool:
    """A plain name of a file or folder, which leads nowhere else."""
    return (
        isinstance(name, str)
        and bool(name)
        and Path(name).name == name
        and name not in (".", "..")
        and "\0" not in name
    )


def _load(place: Path | list[Path], folder: Path, options: ReadOptions) -> tuple[Any, dict[str, Any]]:
    """The Arrow table of a split and its dataset_info, checked so that no cell lies outside its buffer."""
    import pyarrow as pa

    if isinstance(place, list):
        return _checked(_concatenated([_read_parquet(p, options) for p in place], folder), folder), {}
    info = read_json(place / INFO, options.max_megabytes) if (place / INFO).is_file() else None
    state = read_json(place / STATE, options.max_megabytes) if (place / STATE).is_file() else None
    named = state.get("_data_files") if isinstance(state, dict) else None
    entries = named if isinstance(named, list) else []
    names = [str(entry.get("filename")) for entry in entries if isinstance(entry, dict)]
    if not isinstance(info, dict) or not names or len(names) > MOST_FILES or not all(map(_is_name, names)):
        raise DamagedFileError(place, f"has no {INFO}, or no {STATE} that names its files")
    total = 0
    tables = []
    for name in names:
        data = read_bytes(place / name, options.max_megabytes)
        total += len(data)
        require = f"{total / 1e6:,.0f} MB in all"
        if total > options.max_megabytes * 1_000_000:
            raise DamagedFileError(place, f"has {require}; at most {options.max_megabytes:,} MB are read")
        try:
            with pa.ipc.open_stream(pa.BufferReader(data)) as stream:
                tables.append(stream.read_all())
        except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, MemoryError, OverflowError) as error:
            raise DamagedFileError(place / name, f"is no Arrow stream: {short(str(error), 120)}") from None
    return _checked(_concatenated(tables, place), place), info


def _read_parquet(path: Path, options: ReadOptions) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    require_size(path, options.max_megabytes)
    try:
        return pq.ParquetFile(path).read()
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, MemoryError, OverflowError) as error:
        raise DamagedFileError(path, f"cannot be read as Parquet: {short(str(error), 120)}") from None


def _concatenated(tables: list[Any], place: Path) -> Any:
    import pyarrow as pa

    try:
        return pa.concat_tables(tables)
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise DamagedFileError(place, f"its files do not fit together: {short(str(error), 120)}") from None


def _checked(table: Any, place: Path) -> Any:
    import pyarrow as pa

    try:
        table.validate(full=True)
    except (pa.ArrowException, ValueError) as error:
        raise DamagedFileError(place, f"holds damaged cells: {short(str(error), 120)}") from None
    if len(set(table.column_names)) < table.num_columns:
        raise DamagedFileError(place, "has two columns of one name")
    return table


def _columns(table: Any) -> dict[str, list[Any]]:
    try:
        return {name: table.column(name).to_pylist() for name in table.column_names}
    except (ValueError, OverflowError, ArithmeticError) as error:  # such as a date that Python has not
        raise CrowdLLMError(f"a cell of the data set cannot be read: {error}") from None


def _cells(table: Any, info: dict[str, Any], ledger: Ledger) -> dict[str, Cells]:
    """Text cells, with class labels by their names."""
    features = info.get("features")
    out: dict[str, Cells] = {}
    for name, values in _columns(table).items():
        about = features.get(name) if isinstance(features, dict) else None
        names = about.get("names") if isinstance(about, dict) and about.get("_type") == "ClassLabel" else None
        words = [str(word) for word in names] if isinstance(names, list) else []
        nested = sum(isinstance(value, list | dict) for value in values)
        if nested:
            ledger.note("changed", name, "nested values, written as JSON", nested)
        cells = np.empty(len(values), dtype=object)
        cells[:] = [_word(value, words) for value in values]
        out[name] = cells
    return out


def _word(value: Any, labels: list[str]) -> str:
    if value is None:
        return ""
    if labels and isinstance(value, int):
        return labels[value] if 0 <= value < len(labels) else ""  # -1 stands for no label
    if isinstance(value, bool | int):
        return str(value).lower() if isinstance(value, bool) else str(value)
    if isinstance(value, float):
        return number_text(value)
    if isinstance(value, bytes):
        return f"[{len(value):,} bytes]"
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)


READER = Reader("huggingface", "Hugging Face datasets on disk", sniff, read)
