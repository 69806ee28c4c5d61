"""The names of others: present for models that write, absent for others, and never content unasked."""

from __future__ import annotations

import importlib

import pytest

from roadworthy.observe.export.semantic_names import NAMES, SPAN_KIND, kind_of, named, schema_of


def test_a_span_of_a_writing_model_carries_both_sets_of_names():
    written = named({"model": "m", "output_tokens": 7}, "LLM", generates=True)
    assert written == {
        SPAN_KIND: "LLM",
        "roadworthy.model": "m",
        "gen_ai.request.model": "m",
        "llm.model_name": "m",
        "roadworthy.output_tokens": 7,
        "gen_ai.usage.output_tokens": 7,
        "llm.token_count.completion": 7,
    }


def test_a_model_that_does_not_write_has_no_generation():
    written = named({"model": "m", "tokens": 3, "error_type": "Late"}, "CHAIN", generates=False)
    assert set(written) == {SPAN_KIND, "roadworthy.model", "roadworthy.tokens", "roadworthy.error_type", "error.type"}


def test_content_leaves_only_when_asked_for():
    own = {"inputs": "secret", "outputs": "secret"}
    assert "secret" not in named(own, "LLM", generates=True).values()
    asked = named(own, "LLM", generates=True, content=True)
    assert asked["input.value"] == asked["gen_ai.input.messages"] == "secret"
    assert asked["input.mime_type"] == "application/json"


def test_what_is_not_known_is_left_out():
    assert named({"confidence": None}, "CHAIN", generates=False) == {SPAN_KIND: "CHAIN"}


@pytest.mark.parametrize(
    ("step", "kind"),
    [("pii_guard", "GUARDRAIL"), ("cascade level 1", "DECISION"), ("model", "LLM"), ("queue", "CHAIN")],
)
def test_a_step_has_a_kind_by_its_name(step, kind):
    assert kind_of(step, generates=True) == kind


def test_a_table_model_is_no_llm():
    assert kind_of("model", generates=False) == "CHAIN"


def test_the_genai_names_are_those_that_the_python_package_knows():
    known = importlib.import_module("opentelemetry.semconv._incubating.attributes.gen_ai_attributes")
    theirs = {value for name, value in vars(known).items() if name.isupper() and isinstance(value, str)}
    ours = {names.otel for names in NAMES.values() if names.otel.startswith("gen_ai.")}
    assert ours <= theirs


def test_each_set_of_names_tells_its_schema():
    assert schema_of(True) != schema_of(False)
    assert all(schema_of(one).startswith("https://opentelemetry.io/schemas/") for one in (True, False))
