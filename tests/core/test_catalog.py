from __future__ import annotations

import importlib
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadworthy.core.catalog import Catalog, load, read_plan, write_plan
from roadworthy.core.errors import MissingExtra, SpecError

LEAF = '''
from __future__ import annotations

from dataclasses import dataclass
from toy_leaves import toy


@toy("{name}")
@dataclass(frozen=True)
class {cls}:
    """Says {name}.

    More about it.
    """

    size: int = 1
    share: float = 0.5
    words: tuple[str, ...] = ()
'''


@pytest.fixture
def toys(tmp_path, monkeypatch) -> Catalog:
    """A catalog whose folder holds two leaves, `ball` and `block`."""
    folder = tmp_path / "toy_leaves"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "from roadworthy.core.catalog import Catalog\ntoy = Catalog('toy', 'toy_leaves')\n"
    )
    (folder / "ball.py").write_text(LEAF.format(name="ball", cls="Ball"))
    (folder / "block.py").write_text(LEAF.format(name="block", cls="Block"))
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield importlib.import_module("toy_leaves").toy
    for name in [name for name in sys.modules if name.startswith(("toy_leaves", "toy_plugin"))]:
        del sys.modules[name]


def test_a_leaf_is_found_by_its_folder(toys):
    assert list(toys) == ["ball", "block"]
    assert toys.describe() == {"ball": "Says ball.", "block": "Says block."}


def test_a_plan_becomes_an_object_with_typed_settings(toys):
    assert (toys.make("ball").size, toys.make("ball:size=3,share=0.1").size) == (1, 3)
    assert toys.make("ball:size=3,share=0.1").share == 0.1
    assert toys.make({"ball": {"words": ["a", "b"]}}).words == ("a", "b")
    assert toys.make({"ball": None}) == toys.make("ball")


def test_what_the_caller_knows_is_given_where_there_is_such_a_setting(toys):
    assert toys.make("ball", size=7, file="unused").size == 7
    assert toys.make("ball:size=2", size=7).size == 2


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ("bal", "no toy named 'bal'; did you mean 'ball'? (known: ball, block)"),
        ("zebra", "no toy named 'zebra' (known: ball, block)"),
        ("ball:sise=3", "toy 'ball' has no setting 'sise'; did you mean 'size'? (it has: size, share, words)"),
        ("ball:size=many", "toy 'ball' with {'size': 'many'}"),
        ({"ball": 3}, "a plan is a name"),
        ({"ball": {}, "block": {}}, "a plan is a name"),
        (7, "a plan is a name"),
    ],
)
def test_a_plan_that_cannot_be_made_says_what_is_near(toys, plan, message):
    with pytest.raises(SpecError) as refused:
        toys.make(plan)
    assert message in str(refused.value)


def test_a_plugin_is_found_by_its_entry_point(toys, tmp_path):
    (tmp_path / "toy_plugin.py").write_text(LEAF.format(name="kite", cls="Kite"))
    info = tmp_path / "toy_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[roadworthy.toy]\nkite = toy_plugin:Kite\n")
    importlib.invalidate_caches()
    assert list(toys) == ["ball", "block", "kite"]
    assert toys.make("kite:size=4").size == 4


@pytest.mark.usefixtures("toys")
def test_a_leaf_of_the_project_is_found_by_its_file(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from dataclasses import dataclass\nNOT = 1\n@dataclass(frozen=True)\nclass Mine:\n    rate: float = 0.1\n"
    )
    toys = sys.modules["toy_leaves"].toy
    assert toys.make("mine.py:Mine", tmp_path).rate == 0.1
    assert toys.make("mine.py:Mine:rate=0.5", tmp_path).rate == 0.5
    with pytest.raises(SpecError, match="has no 'Mien'; did you mean 'Mine'"):
        toys.make("mine.py:Mien", tmp_path)
    with pytest.raises(SpecError, match="not a frozen dataclass"):
        toys.make("mine.py:NOT", tmp_path)
    with pytest.raises(SpecError, match=r"no file .*yours\.py"):
        toys.make("yours.py:Mine", tmp_path)


def test_files_of_one_name_in_two_projects_are_two_modules(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "train.py").write_text(f"WHO = {name!r}")
    assert load("train.py:WHO", tmp_path / "a") == "a"
    assert load("train.py:WHO", tmp_path / "b") == "b"


def test_a_file_that_breaks_is_read_again_once_it_is_mended(tmp_path):
    (tmp_path / "train.py").write_text("1 / 0")
    with pytest.raises(ZeroDivisionError):
        load("train.py:WHO", tmp_path)
    (tmp_path / "train.py").write_text("WHO = 'mended'")
    assert load("train.py:WHO", tmp_path) == "mended"


def test_a_module_is_loaded_by_its_name():
    assert load("pathlib:Path") is Path
    with pytest.raises(SpecError, match=r"write `package\.module:name` or `file\.py:name`"):
        load("no.such.module:Path")


def test_a_leaf_that_needs_what_is_not_installed_names_the_extra():
    toys = Catalog("toy", "json")

    @toys("heavy", needs=(("no_such_module", "heavy"),))
    @dataclass(frozen=True)
    class Heavy:
        """Needs a lot."""

    with pytest.raises(MissingExtra, match=r"toy 'heavy' needs `no_such_module`: pip install 'roadworthy\[heavy\]'"):
        toys.make("heavy")
    assert toys.get("heavy") is Heavy


def test_only_dataclasses_register_and_each_name_once():
    toys = Catalog("toy", "json")
    with pytest.raises(TypeError, match="toy 'plain' must be a frozen dataclass"):
        toys("plain")(type("Plain", (), {}))
    toys("one")(make_dataclass("One", [], frozen=True))
    with pytest.raises(TypeError, match="two toys are named 'one'"):
        toys("one")(make_dataclass("Other", [], frozen=True))


names = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=8)
values = st.text("abcxyz0123456789. -_", max_size=8).map(str.strip)


@given(names, st.dictionaries(names, values, max_size=4))
def test_a_plan_in_text_is_read_as_it_was_written(name, settings):
    text = f"{name}:{','.join(f'{key}={value}' for key, value in settings.items())}" if settings else name
    assert read_plan(text) == (name, settings)
    assert read_plan({name: settings}) == (name, settings)


@dataclass(frozen=True)
class Toy:
    """A leaf with settings of every kind."""

    size: int = 1
    share: float = 0.5
    label: str = "x"
    on: bool = False
    columns: tuple[str, ...] = ()
    table: dict[str, int] = field(default_factory=dict)


toy_catalog: Catalog[Toy] = Catalog("toy", "json")
toy_catalog("toy")(Toy)

toys_drawn = st.builds(
    Toy,
    size=st.integers(-9, 9),
    share=st.floats(allow_nan=False, allow_infinity=False),
    label=st.text(max_size=5),
    on=st.booleans(),
    columns=st.lists(st.text(max_size=3), max_size=3).map(tuple),
    table=st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


@given(toys_drawn)
def test_an_object_is_written_as_a_plan_and_made_again(toy):
    assert toy_catalog.make(write_plan(toy)) == toy


def test_the_shortest_plan_leaves_out_what_is_at_its_default():
    assert write_plan(Toy()) == "toy"
    assert write_plan(Toy(size=3)) == {"toy": {"size": 3}}


def test_threads_that_ask_for_one_file_at_once_all_get_the_whole_of_it(tmp_path):
    (tmp_path / "slow.py").write_text("import time\ntime.sleep(0.2)\nWHO = 'whole'\n")
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: load("slow.py:WHO", tmp_path), range(4))) == ["whole"] * 4
