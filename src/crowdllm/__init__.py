"""CrowdLLM: digital populations whose answers are distributed like those of real people.

The public names load when they are first used: `import crowdllm` itself loads neither torch nor transformers.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_PUBLIC = {
    "Study": "crowdllm.data.study:Study",
    "Problems": "crowdllm.data.problems:Problems",
    "Responses": "crowdllm.data.responses:Responses",
    "References": "crowdllm.reference:References",
    "CrowdModel": "crowdllm.belief.crowd_model:CrowdModel",
    "CrowdLLMError": "crowdllm.errors:CrowdLLMError",
    "load_study": "crowdllm.data.study_folder:load_study",
    "save_study": "crowdllm.data.study_folder:save_study",
    "study_from_frames": "crowdllm.data.study_folder:study_from_frames",
    "check_study": "crowdllm.data.study_check:check_study",
    "new_study": "crowdllm.data.new_study:new_study",
    "import_study": "crowdllm.exchange.importing:import_study",
    "export": "crowdllm.exchange.exporting:export",
    "load_dataset": "crowdllm.datasets:load_dataset",
    "dataset_cards": "crowdllm.datasets:dataset_cards",
    "load_references": "crowdllm.api:load_references",
    "elicit_references": "crowdllm.elicitation:elicit_references",
    "fit": "crowdllm.api:fit",
    "simulate": "crowdllm.api:simulate",
    "twins": "crowdllm.api:twins",
    "aggregate": "crowdllm.experiments.decisions:aggregate_study",
    "estimate": "crowdllm.api:estimate",
    "evaluate": "crowdllm.api:evaluate",
    "save_model": "crowdllm.belief.checkpoint:save_model",
    "load_model": "crowdllm.belief.checkpoint:load_model",
}

__all__ = ["__version__", *_PUBLIC]

if TYPE_CHECKING:
    from crowdllm.api import estimate as estimate
    from crowdllm.api import evaluate as evaluate
    from crowdllm.api import fit as fit
    from crowdllm.api import load_references as load_references
    from crowdllm.api import simulate as simulate
    from crowdllm.api import twins as twins
    from crowdllm.belief.checkpoint import load_model as load_model
    from crowdllm.belief.checkpoint import save_model as save_model
    from crowdllm.belief.crowd_model import CrowdModel as CrowdModel
    from crowdllm.data.new_study import new_study as new_study
    from crowdllm.data.problems import Problems as Problems
    from crowdllm.data.responses import Responses as Responses
    from crowdllm.data.study import Study as Study
    from crowdllm.data.study_check import check_study as check_study
    from crowdllm.data.study_folder import load_study as load_study
    from crowdllm.data.study_folder import save_study as save_study
    from crowdllm.data.study_folder import study_from_frames as study_from_frames
    from crowdllm.datasets import dataset_cards as dataset_cards
    from crowdllm.datasets import load_dataset as load_dataset
    from crowdllm.elicitation import elicit_references as elicit_references
    from crowdllm.errors import CrowdLLMError as CrowdLLMError
    from crowdllm.exchange.exporting import export as export
    from crowdllm.exchange.importing import import_study as import_study
    from crowdllm.experiments.decisions import aggregate_study as aggregate  # noqa: F401
    from crowdllm.reference import References as References


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'crowdllm' has no attribute {name!r}; it has {', '.join(_PUBLIC)}")
    module, _, attribute = _PUBLIC[name].partition(":")
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
