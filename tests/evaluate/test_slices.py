from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.language import language_of
from roadworthy.core.sample import Sample
from roadworthy.core.spec import Field
from roadworthy.evaluate.slices import ALL, EVERYDAY, slices

MAY_31, JUNE_1 = 1_370_000_000.0, 1_370_044_800.0


def test_rows_are_cut_by_month_in_utc_and_by_tag() -> None:
    at = np.array([JUNE_1, MAY_31, JUNE_1 - 1, JUNE_1 + 1])
    origin = np.array(["JFK", "LGA", "JFK", "JFK"], dtype=object)
    found = {
        name: rows.tolist()
        for name, rows in slices(Sample({"x": np.zeros(4)}, at=at, tags={"origin": origin}), at_least=1)
    }
    assert found == {"month=2013-05": [1, 2], "month=2013-06": [0, 3], "origin=JFK": [0, 2, 3], "origin=LGA": [1]}
    assert next(iter(found)) == "month=2013-05"


def test_small_slices_are_left_out() -> None:
    tags = {"origin": np.array(["a"] * 5 + ["b"] * 2, dtype=object)}
    assert [name for name, _ in slices(Sample({"x": np.zeros(7)}, tags=tags), at_least=3)] == ["origin=a"]


def test_an_id_in_disguise_gives_no_thousand_slices() -> None:
    tags = {"tail": np.array([f"N{k % 500}" for k in range(5000)], dtype=object)}
    assert len(list(slices(Sample({"x": np.zeros(5000)}, tags=tags), at_least=5, most=10))) == 10


def test_no_rows_have_no_slices() -> None:
    assert list(slices(Sample({}, at=np.empty(0), tags={"a": np.empty(0, object)}), at_least=0, kinds=ALL)) == []


def test_hours_and_weekdays_come_in_their_order() -> None:
    # 1 June 2013 was a Saturday.
    at = JUNE_1 + 3600.0 * np.arange(7 * 24)
    names = [name for name, _ in slices(Sample({"x": np.zeros(168)}, at=at), 1, kinds=("hour", "weekday"))]
    assert names[:3] == ["hour=00", "hour=01", "hour=02"]
    assert names[24:] == [f"weekday={day}" for day in ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")]
    rows = dict(slices(Sample({"x": np.zeros(168)}, at=at), 1, kinds=("hour", "weekday")))
    assert rows["weekday=Sat"].tolist() == list(range(24))
    assert rows["hour=05"].tolist() == list(range(5, 168, 24))


def test_text_is_cut_by_length_and_language() -> None:
    said = ["why was my card declined", "warum wurde meine karte nicht angenommen"] * 50
    texts = Sample({"said": np.array([t * (1 + k // 25) for k, t in enumerate(said)], dtype=object)})
    names = [name for name, _ in slices(texts, 10, kinds=EVERYDAY)]
    assert "said language=en" in names
    assert "said language=de" in names
    assert sum(name.startswith("said characters=") for name in names) == 4


def test_columns_are_cut_by_value_and_numbers_in_quarters() -> None:
    rng = np.random.default_rng(0)
    job = rng.choice(np.array(["a", "b", None], dtype=object), 900)
    age = np.where(rng.random(900) < 0.2, np.nan, rng.normal(40, 10, 900))
    flag = rng.integers(0, 2, 900).astype(float)
    name = np.array([f"row {k}" for k in range(900)], dtype=object)
    fields = {"job": Field("category"), "age": Field(), "flag": Field("boolean"), "name": Field("category")}
    sample = Sample({"job": job, "age": age, "flag": flag, "name": name}, fields=fields)
    found = dict(slices(sample, 50, kinds=("category", "number")))
    assert [n for n in found if n.startswith("job=")] == ["job=a", "job=b", "job=null"]
    assert [n for n in found if n.startswith("flag=")] == ["flag=0", "flag=1"]
    quarters = [rows for n, rows in found.items() if n.startswith("age=") and n != "age=null"]
    assert [len(rows) for rows in quarters] == pytest.approx([180] * 4, abs=12)
    assert max(age[quarters[0]]) <= min(age[quarters[1]])
    assert np.isnan(age[found["age=null"]]).all()
    assert not any(n.startswith("name=") for n in found)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Why was my card declined when I tried to pay?", "en"),
        ("Warum wurde meine Karte nicht angenommen?", "de"),
        ("Pourquoi est-ce que ma carte ne marche pas dans le magasin ?", "fr"),
        ("¿Por qué no funciona mi tarjeta con el banco?", "es"),
        ("Perché la mia carta non funziona con il bancomat?", "it"),
        ("Por que o meu cartão não funciona?", "pt"),
        ("Waarom is mijn kaart niet geaccepteerd?", "nl"),
        ("Dlaczego moja karta nie działa w sklepie?", "pl"),
        ("カードが使えないのはなぜですか", "ja"),
        ("为什么我的卡不能用", "zh"),
        ("카드가 왜 안 되나요", "ko"),
        ("Почему не работает карта", "cyrillic"),
        ("لماذا لا تعمل البطاقة", "arabic"),
        ("1234 !!", "?"),
        ("", "?"),
        (None, "?"),
    ],
)
def test_the_language_of_a_text_is_guessed(text: str | None, code: str) -> None:
    assert language_of(text) == code
