"""A study, or a simulated crowd, as a Hugging Face `datasets.Dataset`, and back without loss.

    dataset = study_to_dataset(study)            a study or a folder: one row per response, with text and profile
    dataset.save_to_disk("folder")               `crowdllm import folder` reads it, as does study_from_dataset
    study = study_from_dataset(dataset)          also after filter, select or shuffle, and of any other data set

Options of a problem are in `option_texts`; answers of a simulated crowd say so in every row, with the beginning of the
model's hash and the seed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from crowdllm.data.study import Study
from crowdllm.errors import MissingExtraError
from crowdllm.exchange.export_source import open_source
from crowdllm.exchange.importing import import_study
from crowdllm.exchange.study_rows import is_described, rows_of_study, study_of_rows
from crowdllm.experiments.decisions import open_responses


def study_to_dataset(source: Study | str | Path) -> Any:
    """The `datasets.Dataset` of a study, or of the folder of a study or simulated crowd.

    A crowd has the hash of its `model` and its `seed` in every row. Raises MissingExtraError without the package,
    CrowdLLMError for a folder that holds no responses.
    """
    datasets = _package()
    opened = open_source(source)
    study = source if isinstance(source, Study) else open_responses(str(source))
    marks = {"model": opened.marks.model, "seed": opened.marks.seed} if study.simulated else {}
    columns, description = rows_of_study(study, marks)
    features = datasets.Features({name: _feature(datasets, name, values) for name, values in columns.items()})
    info = datasets.DatasetInfo(description=description, features=features)
    return datasets.Dataset.from_dict(columns, features=features, info=info)


def _feature(datasets: Any, name: str, values: list[Any]) -> Any:
    first = next((value for value in values if value is not None), "")
    if isinstance(first, list):
        inner = next((v for value in values if value for v in value), "" if name == "option_texts" else 0.0)
        return datasets.List(datasets.Value("float64" if isinstance(inner, float) else "string"))
    kinds = {bool: "bool", int: "int64", float: "float64"}
    if name == "seed" and first == "":  # a crowd whose seed is not known
        return datasets.Value("int64")
    return datasets.Value(kinds.get(type(first), "string"))


def study_from_dataset(dataset: Any, mapping: Mapping[str, Any] | None = None) -> Study:
    """The study in a `datasets.Dataset`, `DatasetDict`, or a folder that `save_to_disk` wrote.

    mapping: what the columns mean, for a data set that crowdllm did not write; guessed where it is left out (see
    `crowdllm.exchange.mapping`; `crowdllm import` shows the guess).

    Raises CrowdLLMError where its rows are no study.
    """
    if isinstance(dataset, str | Path):
        return import_study(dataset, "huggingface", mapping).study
    info = getattr(dataset, "info", None)
    description = str(getattr(info, "description", "") or "")
    if is_described(description) and mapping is None:
        return study_of_rows({name: list(dataset[name]) for name in dataset.column_names}, description)
    _package()
    with TemporaryDirectory() as folder:
        dataset.save_to_disk(folder)
        return import_study(folder, "huggingface", mapping).study


def _package() -> Any:
    try:
        import datasets
    except ImportError:
        raise MissingExtraError("a Hugging Face data set", "formats") from None
    return datasets
