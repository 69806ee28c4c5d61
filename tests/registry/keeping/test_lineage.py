"""A lineage shows what each release was made from, what it changed, and when it was stable."""

from __future__ import annotations

import io

import msgspec
import pytest
from msgspec.structs import replace
from rich.console import Console

from roadworthy.core.artifact import Artifact, Release
from roadworthy.core.errors import Missing
from roadworthy.core.spec import Field, Signature
from roadworthy.registry.keeping.lineage import Lineage, Period, changed, draw_lineage, lineage_mermaid, lineage_text


@pytest.fixture
def family(made):
    """first <- second <- (third, fourth <- fifth); first <- aside."""
    first = made(b"1", data={"train": "january"})
    second = made(b"22", made_at=2.0, parent=first.digest, data={"train": "february"})
    third = made(b"22", made_at=3.0, parent=second.digest, wrappers=("isotonic",), data={"train": "february"})
    fourth = made(b"4", made_at=4.0, parent=second.digest, data={"train": "march"}, made_by='recipe "int8" <b>')
    fifth = made(b"5", made_at=5.0, parent=fourth.digest)
    made(b"6", made_at=6.0, parent=first.digest)
    return first, second, third, fourth, fifth


def test_ancestors_and_descendants_are_drawn_and_nobody_else(state, family):
    first, second, third, fourth, fifth = (release.digest for release in family)
    drawn = {of: [r.digest for r in draw_lineage(state, of).releases] for of in (second, fifth)}
    assert drawn == {second: [first, second, third, fourth, fifth], fifth: [first, second, fourth, fifth]}
    with pytest.raises(Missing, match="see `roadworthy releases`"):
        draw_lineage(state, "f" * 64)


def test_a_parent_that_is_gone_ends_the_line(state, made):
    release = made(parent="a" * 64)
    assert [r.digest for r in draw_lineage(state, release.digest).releases] == [release.digest]


def test_when_each_was_stable_is_told(state, registry, family):
    first, second, *_ = (release.digest for release in family)
    for at, digest in ((10.0, first), (15.0, first), (20.0, second), (30.0, first), (40.0, None)):
        registry.point("clinic", "stable", digest, at, "anna", "")
    registry.point("other", "stable", second, 50.0, "anna", "")
    registry.point("other", "reserve", first, 50.0, "anna", "")
    told = {r.digest: r.stable for r in draw_lineage(state, second).releases}
    assert told[first] == (Period("clinic", 10.0, 20.0), Period("clinic", 30.0, 40.0))
    assert told[second] == (Period("clinic", 20.0, 30.0), Period("other", 50.0, None))


def test_the_tree_and_the_chart_show_what_changed(state, registry, family):
    registry.point("clinic", "stable", family[0].digest, 10.0, "anna", "")
    found = draw_lineage(state, family[1].digest)
    console = Console(file=io.StringIO(), width=120)
    console.print(lineage_text(found))
    text = console.file.getvalue()
    assert "other model (+100% bytes); other data (train)" in text
    assert "+ wrapper isotonic" in text
    assert "stable of clinic since 1970-01-01 00:00" in text
    depth = [line.index("clinic ") for line in text.splitlines() if "clinic " in line and "stable of" not in line]
    assert depth == [0, 4, 8, 8, 10]
    assert f"↓ clinic {family[4].digest[:12]}" in text
    chart = lineage_mermaid(found)
    assert chart.startswith("flowchart TD\n")
    assert '  r0 -->|"other model (+100% bytes)<br/>other data (train)"| r1' in chart
    assert "  style r1 stroke-width:3px" in chart
    assert msgspec.json.decode(msgspec.json.encode(found), type=Lineage) == found


def test_a_chart_cannot_be_broken_by_a_name(state, made):
    first = made()
    second = made(made_at=2.0, parent=first.digest, wrappers=('a"|b<c>#&',))
    assert "+ wrapper a#34;#124;b#60;c#62;#35;#38;" in lineage_mermaid(draw_lineage(state, second.digest))


BASE = Release(
    "clinic", (Artifact("model", "a" * 64, 100, engine="onnx"),), Signature({"radius": Field()}, {"p": Field()})
)


@pytest.mark.parametrize(
    ("new", "told"),
    [
        (BASE, "nothing that was kept"),
        (
            replace(BASE, artifacts=(Artifact("model", "b" * 64, 25, "onnx", "quantize"),)),
            "other model by quantize (-75% bytes)",
        ),
        (replace(BASE, artifacts=(Artifact("model", "a" * 64, 100, "torch"),)), "engine onnx to torch"),
        (replace(BASE, artifacts=(*BASE.artifacts, Artifact("code", "c" * 64, 1))), "+ code"),
        (replace(BASE, artifacts=()), "- model"),
        (replace(BASE, preprocessing=({"impute": {"columns": ["a"]}},)), "+ preprocessing impute"),
        (replace(BASE, training={"seed": 2}), "other training (seed)"),
        (replace(BASE, features={"weather": "3"}), "other features (weather)"),
        (replace(BASE, serving={"most_rows": 3}), "other serving (most_rows)"),
        (replace(BASE, signature=Signature({}, {})), "another signature"),
        (replace(BASE, code="git:0123456789ab+changes"), "code unknown to 01234567+changes"),
    ],
)
def test_each_kind_of_change_has_its_words(new, told):
    assert changed(BASE, new) == (told,)


def test_another_order_of_wrappers_is_a_change():
    one, other = replace(BASE, wrappers=("a", "b")), replace(BASE, wrappers=("b", "a"))
    assert changed(one, other) == ("other order of wrappers",)
