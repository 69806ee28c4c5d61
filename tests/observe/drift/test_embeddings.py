from __future__ import annotations

import numpy as np
import pytest

from roadworthy.observe.drift.embeddings import (
    Anchor,
    AnchorDay,
    anchors_fell,
    content_hash,
    index_health,
    look_up,
    margins,
    margins_moved,
    ndcg_at,
    new_terms,
    provenance,
    recall_at,
    vocabulary_of,
)

TEXTS = {
    f"{topic}{k}": f"{words} {k}"
    for topic, words in (("cat", "cats purr and sleep"), ("car", "cars need fuel"), ("sea", "the sea is salt water"))
    for k in range(8)
}


def index(model="minilm-v2", texts=TEXTS):
    return {key: provenance(text, model, "lower", 100.0) for key, text in texts.items()}


def health(vectors, documents=TEXTS):
    return {m.name: m for m in index_health(vectors, documents, "minilm-v2", "lower")}


def test_an_index_of_one_model_and_of_todays_texts_is_healthy():
    found = health(index())
    assert {m.value for m in found.values()} == {0.0}
    assert found["mixed_model"].high < 0.2


def test_vectors_of_another_model_or_preprocessing_are_counted():
    mixed = index() | {"cat0": provenance(TEXTS["cat0"], "minilm-v3", "lower", 200.0)}
    mixed |= {"cat1": provenance(TEXTS["cat1"], "minilm-v2", "cased", 200.0)}
    found = health(mixed)["mixed_model"]
    assert (found.value, found.n) == (2 / 24, 24)
    assert found.low < 2 / 24 < found.high


def test_texts_that_changed_vanished_or_came_after_indexing_are_told_apart():
    today = {**TEXTS, "cat0": "cats bark now", "new": "bicycles"}
    del today["sea7"]
    found = health(index(), today)
    assert (found["stale_content"].value, found["stale_content"].n) == (1 / 23, 23)
    assert found["orphaned"].value == 1 / 24
    assert found["unindexed"].value == 1 / 24
    assert content_hash("cats") != content_hash("cats ")


def test_nothing_indexed_waits():
    assert all(m.n == 0 for m in index_health({}, {}, "m", "p"))


def test_recall_and_gain_are_those_of_the_textbook():
    relevant = {"a": 3.0, "b": 1.0, "c": 0.0}
    assert recall_at(["x", "a", "c"], relevant, 3) == 0.5
    assert recall_at(["a"], relevant, 1) == 1.0
    assert ndcg_at(["a", "b"], relevant, 2) == 1.0
    assert ndcg_at(["b", "a"], relevant, 2) == pytest.approx((1 + 3 / np.log2(3)) / (3 + 1 / np.log2(3)))
    assert ndcg_at(["x"], relevant, 5) == 0.0
    assert ndcg_at(["x"], {}, 5) == recall_at(["x"], {}, 5) == 1.0


def engine(texts):
    """TF-IDF search over the documents, as a user might have it."""
    sklearn_text = pytest.importorskip("sklearn.feature_extraction.text")
    keys = list(texts)
    made = sklearn_text.TfidfVectorizer()
    matrix = made.fit_transform([texts[key] for key in keys])

    def search(query, k):
        scores = (matrix @ made.transform([query]).T).toarray().ravel()
        return [keys[at] for at in np.argsort(-scores, kind="stable")[:k]]

    return search


ANCHORS = [
    Anchor(query, {key: 1.0 for key in TEXTS if key.startswith(topic)})
    for topic, queries in (
        ("cat", ("cats purr", "sleep cats", "purr", "cats", "sleep and purr", "cats and sleep", "purr sleep")),
        ("car", ("cars fuel", "need fuel", "fuel", "cars", "cars need", "fuel need", "cars need fuel")),
        ("sea", ("salt water", "sea salt", "water", "the sea", "sea", "sea is water", "salt")),
    )
    for query in queries
]


def test_an_index_that_nobody_touched_finds_the_same_every_day():
    first, today = (look_up(ANCHORS, engine(TEXTS), 5, at) for at in (1.0, 2.0))
    assert [m.value for m in first.measurements()] == [1.0, 1.0]
    assert [m.name for m in first.measurements()] == ["recall_at_5", "ndcg_at_5"]
    assert anchors_fell(first, today).decision == "pass"


def test_documents_that_were_overwritten_are_missed_by_the_anchors():
    first = look_up(ANCHORS, engine(TEXTS), 5, 1.0)
    # Seven queries still find their cats, first among equals that match nothing.
    spoilt = {key: ("lorem ipsum" if int(key[-1]) > 2 else text) for key, text in TEXTS.items()}
    verdict = anchors_fell(first, look_up(ANCHORS, engine(spoilt), 5, 2.0))
    assert verdict.decision == "fail"
    assert verdict.because.startswith("14 of 21 anchor queries find less")
    assert verdict.evidence[0].name == "ndcg_lost"
    assert verdict.evidence[0].value > 0.05


def test_one_query_that_fell_among_many_is_chance():
    ndcg = [1.0] * 40
    first = AnchorDay(1.0, 5, tuple(ndcg), tuple(ndcg))
    ndcg[0] = 0.0
    assert anchors_fell(first, AnchorDay(2.0, 5, tuple(ndcg), tuple(ndcg))).decision == "pass"


def test_anchors_of_other_days_must_be_the_same_and_enough():
    few = AnchorDay(1.0, 5, (1.0,), (1.0,))
    assert anchors_fell(few, few).decision == "wait"
    with pytest.raises(ValueError, match="must be the same: 1 at k=5 against 2"):
        anchors_fell(few, AnchorDay(2.0, 5, (1.0, 1.0), (1.0, 1.0)))


def test_new_terms_are_counted_with_an_interval_over_queries():
    known = vocabulary_of(TEXTS.values())
    assert new_terms(["cats sleep", "Fuel!"], known).value == 0.0
    queries = ["cats purr", "covid vaccine cats", "sea"] * 30
    found = new_terms(queries, known)
    assert found.value == pytest.approx(2 / 6)
    assert found.n == 90
    assert 0.2 < found.low < 2 / 6 < found.high < 0.5
    assert new_terms([], known).n == new_terms(["?!"], known).n == 0
    assert new_terms(["zebra"], known).value == 1.0


def test_the_margin_tells_a_query_that_nothing_fits_though_its_score_is_high():
    rng = np.random.default_rng(0)
    fitting = np.column_stack([0.9 + 0.02 * rng.normal(size=300), 0.5 + 0.05 * rng.normal(size=(300, 4))])
    strange = 0.88 + 0.02 * rng.normal(size=(300, 5))
    assert np.median(margins(fitting)) > 3 * np.median(margins(strange))
    assert margins_moved(fitting, strange).decision == "fail"
    assert margins_moved(fitting[:150], fitting[150:]).decision == "pass"
    assert margins_moved(fitting, np.empty((0, 5))).decision == "wait"
    assert np.isnan(margins(np.ones((3, 1)))).all()
    assert np.isnan(margins(np.ones((3, 4)))).all()
