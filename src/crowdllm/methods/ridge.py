"""Ridge regression on the response histogram: `tfidf-ridge`, `embedding-ridge`, `embedding-references-ridge`.

The plain method that anything more elaborate has to beat. Each problem (or option) is a row, its training
histogram (or share) the target, rows weighted by their number of responses (with survey weights, the weighted
histogram and the effective number); the penalty is chosen by cross-validation over training problems; predictions are
cut at 0.001 and normalised. The predicted distribution is the same for everybody.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crowdllm.belief.items import Items, item_texts, make_items, widest
from crowdllm.data.problems import Problems
from crowdllm.data.study import Study
from crowdllm.embedding import fit_embedder
from crowdllm.errors import MismatchError
from crowdllm.evaluation.histograms import effective_counts, histograms
from crowdllm.methods.protocol import Progress
from crowdllm.methods.shares import SharesSimulator, extra_parameters
from crowdllm.reference import References
from crowdllm.responses.protocol import Array, ResponseType
from crowdllm.rng import generator

PENALTIES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
FOLDS = 5
Featurise = Callable[[Problems, References | None], Any]


def fit_tfidf(
    train: Study, references: References | None, embedding: str, seed: int, progress: Progress | None = None
) -> SharesSimulator:
    """On sparse TF-IDF of words and word pairs, not reduced."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=1)
    try:
        vectorizer.fit(item_texts(train.problems, train.response_type))
    except ValueError as error:
        raise MismatchError(f"the method 'tfidf-ridge' needs problem texts with words in them ({error})") from None

    several = len(train.problems) > 1

    def featurise(problems: Problems, _: References | None) -> Any:
        return vectorizer.transform(item_texts(problems, train.response_type, several))

    return _fit(train, references, featurise, seed)


def fit_embedding(
    train: Study, references: References | None, embedding: str, seed: int, progress: Progress | None = None
) -> SharesSimulator:
    """On the same embedding that the model uses."""
    return _fit_items(train, references, embedding, seed, lambda items: items.x_IX.astype(np.float64))


def fit_embedding_references(
    train: Study, references: References | None, embedding: str, seed: int, progress: Progress | None = None
) -> SharesSimulator:
    """On the embedding and the LLM reference features: everything the model sees of a problem."""
    if references is None or not references.sources:
        raise MismatchError("the method 'embedding-references-ridge' needs reference decisions; see --references")
    return _fit_items(train, references, embedding, seed, lambda items: np.c_[items.reference_IF, items.x_IX])


def _fit_items(
    train: Study, references: References | None, embedding: str, seed: int, columns: Callable[[Items], Array]
) -> SharesSimulator:
    embedder = fit_embedder(embedding, item_texts(train.problems, train.response_type), seed)

    several = len(train.problems) > 1

    def featurise(problems: Problems, given: References | None) -> Any:
        features = columns(make_items(problems, train.response_type, embedder, given, several))
        return features if features.shape[1] else np.zeros((len(features), 1))  # no text has a word to tell it by

    return _fit(train, references, featurise, seed)


def _fit(train: Study, references: References | None, featurise: Featurise, seed: int) -> SharesSimulator:
    from sklearn.linear_model import Ridge

    kind = train.response_type
    features = featurise(train.problems, references)
    target, weight = _targets(train, kind)
    rows = np.flatnonzero(weight > 0)
    penalty = _choose(features, target, weight, rows, seed)
    model = Ridge(alpha=penalty).fit(features[rows], target[rows], sample_weight=weight[rows])

    def predict(problems: Problems, given: References | None) -> Array:
        raw = np.asarray(model.predict(featurise(problems, given))).reshape(-1, target.shape[1])
        return _as_shares(raw, problems, kind)

    return SharesSimulator(kind, predict, extra_parameters(kind, train.responses))


def _choose(features: Any, target: Array, weight: Array, rows: NDArray[np.int64], seed: int) -> float:
    from sklearn.linear_model import Ridge

    if len(rows) < 2 * FOLDS:
        return 10.0
    folds = np.array_split(generator(seed, "ridge:folds").permutation(rows), FOLDS)
    losses = []
    for penalty in PENALTIES:
        loss = 0.0
        for fold in folds:
            inside = np.setdiff1d(rows, fold)
            model = Ridge(alpha=penalty).fit(features[inside], target[inside], sample_weight=weight[inside])
            error = np.asarray(model.predict(features[fold])).reshape(len(fold), -1) - target[fold]
            loss += float((weight[fold, None] * error**2).sum())
        losses.append(loss)
    return PENALTIES[int(np.argmin(losses))]


def _targets(train: Study, kind: ResponseType) -> tuple[Array, Array]:
    """Per item its target row and a weight of mean 1: histogram (or quantiles) per problem, share per option."""
    most = widest(train.problems, kind)
    summary = np.full((len(train.problems), kind.summary_width(most)), np.nan)
    count = np.bincount(train.responses.problem_R, minlength=len(train.problems)).astype(float)
    order = np.argsort(train.responses.problem_R, kind="stable")
    cuts = np.concatenate([[0], np.cumsum(count)]).astype(int)
    if train.responses.weight_R is None:
        for t in np.flatnonzero(count):
            summary[t] = kind.summarise(train.responses.values_RD[order[cuts[t] : cuts[t + 1]]])
    else:
        summary[:] = histograms(train.responses, kind, len(train.problems), most)
        count = np.asarray(effective_counts(train.responses, len(train.problems)))
    weight = count / max(count[count > 0].mean(), 1) if count.any() else count
    if not kind.has_options:
        return np.nan_to_num(summary), weight
    counts = train.problems.option_counts
    target = np.concatenate([row[:c] * c for row, c in zip(summary, counts, strict=True)])[:, None]
    return np.nan_to_num(target), np.repeat(weight, counts)


def _as_shares(raw: Array, problems: Problems, kind: ResponseType) -> Array:
    if kind.kind == "continuous":
        return np.sort(raw, axis=1)
    if not kind.has_options:
        kept = np.maximum(raw, 1e-3)
        return kept / kept.sum(axis=1, keepdims=True)
    counts = problems.option_counts
    shares = np.zeros((len(problems), widest(problems, kind)))
    shares[np.arange(shares.shape[1]) < counts[:, None]] = np.maximum(raw[:, 0], 1e-3)
    return shares / shares.sum(axis=1, keepdims=True)
