"""A fitted crowd: the population's distribution, what makes people differ, and who they are.

This is the object that `fit` returns for the default method: frozen data plus the parameters of the personal part.
`crowdllm.belief.checkpoint` writes it to a folder and reads it back; `crowdllm.simulation` draws its responses.

Shapes: N participants, I items, T problems, Z belief width, P parameters of the response distribution.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from crowdllm.belief.items import Items, item_texts, make_items
from crowdllm.belief.population import PopulationModel, fit_population
from crowdllm.belief.rowwise import rowwise_product
from crowdllm.config import CrowdConfig
from crowdllm.data.problems import Problems
from crowdllm.data.profiles import ProfileEncoder, Profiles
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.embedding import Embedder, fit_embedder
from crowdllm.errors import MismatchError
from crowdllm.profiles.generator import ProfileGenerator
from crowdllm.reference import References
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.protocol import ResponseType
from crowdllm.rng import normals, stable_keys

if TYPE_CHECKING:
    from crowdllm.belief.personal import PersonalModel
    from crowdllm.belief.training import EpochTerms, Progress

Array = NDArray[np.float64]


@dataclass(frozen=True)
class CrowdModel:
    """The fitted `crowdllm` method.

    items: the problems it was fitted on, as features (so that they can be simulated again without the study).
    reference_sources: names of the LLM sources whose features it expects, in order; empty for none.
    profile_mean_V: mean encoded profile of the training people, or of the population that their weights stand for.
    history: the loss terms of every epoch.
    """

    name: ClassVar[str] = "crowdllm"
    response_type: ResponseType
    config: CrowdConfig
    seed: int
    embedder: Embedder
    encoder: ProfileEncoder
    profile_mean_V: Array
    population: PopulationModel
    personal: PersonalModel
    covariance_ZZ: Array
    generator: ProfileGenerator
    items: Items
    reference_sources: tuple[str, ...]
    history: tuple[EpochTerms, ...]

    def make_items(self, problems: Problems, references: References | None) -> Items:
        """Features of these problems; raises MismatchError when references are not of the kind it was fitted with."""
        names = references.names if references else ()
        if names != self.reference_sources:
            raise MismatchError(
                f"the model was fitted with references {list(self.reference_sources) or 'none'}, "
                f"but {list(names) or 'none'} were given; give the same sources in the same order"
            )
        items = make_items(
            problems, self.response_type, self.embedder, references, several=len(self.items.problems) > 1
        )
        if items.reference_names != self.items.reference_names:
            raise MismatchError(
                f"the references do not say what those said that the model was fitted with: it knows "
                f"{', '.join(self.items.reference_names)}, and these give {', '.join(items.reference_names)}; "
                "give distributions (or several draws) where it was fitted with them, and single decisions where not"
            )
        return items

    def recruit(self, n: int, seed: int) -> Profiles:
        """n simulated participants from the joint distribution of the training people's profiles."""
        return self.generator.recruit(n, seed)

    def attitudes(self, profiles: Profiles, noise_NZ: Array) -> Array:
        """(N, Z) c_i: what depends on the participant alone."""
        v_NV = self.encoder.encode(profiles).astype(np.float64) - self.profile_mean_V
        return rowwise_product(v_NV, self.personal.profile_VZ.detach().numpy()) + noise_NZ

    def participant_noise(self, profiles: Profiles, seed: int) -> Array:
        """(N, Z) eps_i, keyed by (seed, participant)."""
        keys = stable_keys(profiles.ids)
        return normals(seed, "belief", keys, np.zeros(len(keys), dtype=np.uint64), self.config.belief_width)

    def item_terms(self, items: Items) -> tuple[Array, Array, Array]:
        """What depends on the items alone: loadings (I, Z), base parameters (T, P), spread (T,).

        Each item's numbers are the same, to the last bit, whatever other items there are.
        """
        import torch

        from crowdllm.belief.population_fit import assemble

        population, features = self.population, self.population.features(items)
        seen = population.seen(items)
        known = (seen >= 0)[:, None]
        raw_IW = rowwise_product(features, population.weights_FW) + population.intercept_W
        weights = {name: value.detach().numpy() for name, value in self.personal.named_parameters()}
        loadings = weights["common_Z"] + rowwise_product(features, weights["from_features_FZ"])
        if len(population.keys):
            raw_IW = raw_IW + np.where(known, population.effects_IW[seen], 0.0)
            loadings = loadings + np.where(known, weights["own_IZ"][seen], 0.0)
        variance_I = rowwise_product(
            rowwise_product(loadings, self.covariance_ZZ) * loadings, np.ones((len(self.covariance_ZZ), 1))
        )
        with torch.no_grad():
            raw_I = self.personal.item_raw(torch.from_numpy(raw_IW), torch.from_numpy(seen))
            extras = torch.from_numpy(population.extras)
            raw = assemble(raw_I, extras, torch.from_numpy(items.item_TU), self.response_type.has_options)
            base = self.response_type.base(raw)
        return loadings, base.numpy(), np.sqrt(1 + variance_I[:, 0])[items.item_TU[:, 0]]


def fit_crowd(
    train: Study,
    references: References | None = None,
    config: CrowdConfig | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> CrowdModel:
    """Fit the default method on a study's human responses.

    Everything that is chosen (penalties, number of epochs) is chosen inside `train`. With survey weights the crowd is
    one of the population that the weights stand for: answers count by weight (a pseudo-likelihood), profiles are
    recruited from the weighted people, and what profiles say is measured from the weighted mean.
    """
    from crowdllm.belief.threads import one_thread

    with one_thread():
        return _fit(train, references, config or CrowdConfig(), seed, progress)


def _fit(
    train: Study, references: References | None, config: CrowdConfig, seed: int, progress: Progress | None
) -> CrowdModel:
    from crowdllm.belief.personal import center_profiles
    from crowdllm.belief.training import train_personal

    response_type = with_unit(train.response_type, train.responses)
    embedder = fit_embedder(config.embedding, item_texts(train.problems, response_type), seed)
    items = make_items(train.problems, response_type, embedder, references)
    encoder = ProfileEncoder.fit(train.profiles)
    v_NV = encoder.encode(train.profiles)
    weight_N = train.relative_weights_N
    mean_V = (v_NV.mean(axis=0) if weight_N is None else np.average(v_NV, 0, weight_N)).astype(np.float64)
    if progress:
        progress("fitting the population's distribution", 0, 1)
    population = fit_population(items, train.responses, response_type, config, seed, progress)
    centered = center_profiles(v_NV, mean_V)
    personal, history = train_personal(
        items, train.responses, centered, response_type, population, config, seed, progress, weight_N
    )
    return CrowdModel(
        response_type=response_type,
        config=config,
        seed=seed,
        embedder=embedder,
        encoder=encoder,
        profile_mean_V=mean_V,
        population=population,
        personal=personal,
        covariance_ZZ=personal.covariance(centered, weight_N).detach().numpy(),
        generator=ProfileGenerator.fit(train.profiles, weight_N, seed),
        items=items,
        reference_sources=references.names if references else (),
        history=tuple(history),
    )


def with_unit(response_type: ResponseType, responses: Responses) -> ResponseType:
    """A continuous scale measured in mean and SD of the training responses; other types unchanged."""
    if not isinstance(response_type, Continuous) or not len(responses):
        return response_type
    value = responses.values_RD[:, 0]
    if responses.weight_R is None:
        return replace(response_type, center=float(value.mean()), scale=float(value.std()) or 1.0)
    center = responses.mean(value)
    return replace(response_type, center=center, scale=responses.mean((value - center) ** 2) ** 0.5 or 1.0)


def describe_fit(model: CrowdModel) -> dict[str, Any]:
    """What was chosen during the fit, for meta.json and for people."""
    last = model.history[-1] if model.history else None
    return {
        "population": model.population.tuned,
        "epochs": sum(1 for h in model.history if h.stage == "fit"),
        "last_epoch": None if last is None else {"kl": last.kl, "decision_loss": last.decision_loss},
    }
