"""Every setting of the models, in one place, checked when it is made and written into each artifact."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from crowdllm.errors import ConfigError, UnknownNameError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

S = TypeVar("S", bound="DataclassInstance")


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CrowdConfig(_Settings):
    """The default method, `crowdllm`.

    Penalties are precisions of zero-mean normal priors; those in a grid are chosen on held-out training problems.
    """

    embedding: str = "tfidf"
    belief_width: int = Field(6, ge=0, le=64, description="Z: latent attitudes shared by a person's answers")
    reference_penalties: tuple[float, ...] = Field((10.0, 100.0, 1000.0), min_length=1)
    embedding_penalties: tuple[float, ...] = Field((7.0, 20.0, 60.0, 200.0, 2000.0), min_length=1)
    effect_variances: tuple[float, ...] = Field((0.0, 0.03, 0.1, 0.3, 1.0, 3.0), min_length=1)
    folds: int = Field(4, ge=2, le=20)
    min_problems_to_tune: int = Field(12, ge=4)
    loading_penalty: float = Field(300.0, gt=0, description="on loadings predicted from an item's features")
    item_loading_penalty: float = Field(30.0, gt=0, description="on an item's own loadings")
    profile_penalties: tuple[float, ...] = Field(
        (8.0, 80.0, 800.0, 8000.0), min_length=1, description="on what profiles say; chosen on people"
    )
    item_shift_penalty: float = Field(4.0, gt=0, description="on option utilities moving from their population value")
    training_draws: int = Field(2, ge=1, description="J while training: draws of a person's noise per step")
    prediction_draws: int = Field(128, ge=1, description="draws of the noise when a single person is predicted")
    learning_rate: float = Field(0.02, gt=0)
    steps_per_epoch: int = Field(4, ge=1)
    max_epochs: int = Field(60, ge=0)
    patience: int = Field(6, ge=1)
    held_out: float = Field(0.12, gt=0, lt=0.5, description="share of problems (or responses) for early stopping")
    min_problems_to_hold_out: int = Field(60, ge=4, description="below it responses are held out, not problems")


class PaperConfig(_Settings):
    """The published method, `crowdllm-paper`: what the paper and its modules state (arXiv 2512.07890)."""

    embedding: str = "tfidf"
    hidden: int = Field(400, ge=1)
    belief_width: int = Field(10, ge=1)
    draws: int = Field(10, ge=1, description="J")
    weight: float = Field(1.0, ge=0, description="lambda, of the decision loss L2 in eq. (4)")
    learning_rate: float = Field(0.001, gt=0)
    noise: float = Field(
        2.0,
        ge=0,
        description="sigma of the blender in SDs of the scale; not in the paper; best of 1 to 4 on offensiveness",
    )
    batch_size: int = Field(256, ge=1)
    max_epochs: int = Field(40, ge=1)
    patience: int = Field(5, ge=1)
    held_out: float = Field(0.1, gt=0, lt=0.5)


class TuneConfig(_Settings):
    """Fine-tuning an LLM into survey participants (`crowdllm.survey_tuning`).

    From arXiv 2403.20252: LoRA and QLoRA (4-bit NormalFloat, double quantisation), cross-entropy plus a numerical
    penalty. Its numbers are not known here; those below are of the QLoRA paper (arXiv 2305.14314) for 7-13 B models
    (alpha 16, dropout 0.05-0.1, all linear layers, Adam 0.0002, batches of 16, constant rate), with a smaller rank,
    which that paper finds to make no difference.
    """

    adapter: Literal["lora", "qlora", "full", "none"] = "lora"
    rank: int = Field(16, ge=1)
    alpha: float = Field(16.0, gt=0, description="the adapter's output is scaled by alpha / rank")
    dropout: float = Field(0.05, ge=0, lt=1)
    target: Literal["answers", "kl", "wasserstein"] = Field(
        "answers", description="what is fitted: single answers, or distributions of people who share a profile"
    )
    gamma: float = Field(0.0, ge=0, description="weight of the numerical penalty")
    without_profile: float = Field(0.1, ge=0, description="weight of questions asked without a profile")
    profile_weight: Annotated[float, Field(ge=0, le=1)] | Literal["chosen"] = Field(
        1.0,
        description="share of an answer that goes by the profile, the rest by the question; chosen: on held-out people",
    )
    profile_columns: tuple[str, ...] = Field((), description="columns in the prompt; all where empty")
    answer_form: Literal["labels", "typed"] = Field("labels", description="levels as one character each, or as typed")
    answer_end: bool = Field(True, description="learn where an answer ends, which answers only ever scored do not need")
    most_candidates: int = Field(64, ge=2, description="numbers among which a number's distribution is computed")
    learning_rate: float = Field(2e-4, gt=0)
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    warmup: float = Field(0.03, ge=0, lt=1, description="share of the steps in which the rate rises")
    weight_decay: float = Field(0.0, ge=0)
    clip: float = Field(0.3, gt=0, description="largest norm of a step's gradient")
    batch_size: int = Field(16, ge=1, description="prompts per step")
    micro_batch: int = Field(4, ge=1, description="prompts run at once; gradients are accumulated over them")
    max_epochs: int = Field(10, ge=1)
    patience: int = Field(2, ge=1, description="epochs without improvement on held-out people")
    held_out: float = Field(0.1, gt=0, lt=0.9, description="share of the people for early stopping and temperatures")
    gradient_checkpointing: bool | None = Field(None, description="None: where there is a GPU")
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = Field(
        "auto", description="of the base model's weights; auto: bfloat16 where the hardware has it"
    )
    checkpoint_every: int = Field(50, ge=1, description="steps between what a killed run continues from")


MethodName = Literal["crowdllm", "crowdllm-paper"]


def make_config(cls: type[_Settings], settings: dict[str, Any]) -> Any:
    """A checked configuration; raises UnknownNameError or ConfigError in words."""
    for key in settings:
        if key not in cls.model_fields:
            raise UnknownNameError("setting", key, cls.model_fields)
    try:
        return cls(**settings)
    except ValidationError as error:
        first = error.errors()[0]
        ways = [each["msg"] for each in error.errors() if each["loc"][0] == first["loc"][0]]  # several, of a union
        raise ConfigError(f"setting {first['loc'][0]!r}: {' or '.join(ways)}, not {first['input']!r}") from None


def make_settings(cls: type[S], settings: Mapping[str, object], where: str, fixed: Collection[str] = ()) -> S:
    """A dataclass of settings made of loose ones, each of its field's type (a list will do for a tuple).

    fixed: names of fields that stand for something else there, and are no setting; their values may be in `settings`.
    where: the function that takes them, for messages.

    Raises UnknownNameError or ConfigError in words.
    """
    known = [field.name for field in fields(cls) if field.name not in fixed]
    for name in settings:
        if name not in known and name not in fixed:
            raise UnknownNameError("setting", name, known, where)
    try:
        return TypeAdapter(cls).validate_python(dict(settings))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ConfigError(f"{where}: setting {place!r}: {first['msg']}, not {first['input']!r}") from None
