"""What a span's attributes are called elsewhere: one table to OpenTelemetry's GenAI names and to OpenInference's.

The GenAI names left OpenTelemetry's main repository in May 2026 and have had no release since; both sets still change.
Whoever follows them edits this table and its versions, and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

# open-telemetry/semantic-conventions-genai, stability "development"; the schema that its manifest publishes.
GEN_AI_SCHEMA = "https://opentelemetry.io/schemas/gen-ai-dev/1.42.0-dev"
# What is not about generation (service, errors) keeps the names of the main repository.
OTEL_SCHEMA = "https://opentelemetry.io/schemas/1.44.0"
OPENINFERENCE_VERSION = "0.1.42"

OURS = "roadworthy."
SPAN_KIND = "openinference.span.kind"
# OpenInference's kinds. OpenTelemetry has no word for a guardrail, which is why both sets are written.
Kind = Literal["CHAIN", "LLM", "GUARDRAIL", "DECISION", "UNKNOWN"]


class Names(NamedTuple):
    """What others call it; "" where they have no word. `content` is what people wrote: it leaves only when asked for.

    `generation` names are written for models that write text, and for no other.
    """

    otel: str = ""
    openinference: str = ""
    generation: bool = False
    content: bool = False


# Ours to theirs. What is not listed goes out as `roadworthy.NAME` alone.
NAMES: Mapping[str, Names] = {
    "operation": Names("gen_ai.operation.name", generation=True),
    "provider": Names("gen_ai.provider.name", "llm.provider", generation=True),
    "model": Names("gen_ai.request.model", "llm.model_name", generation=True),
    "release_model": Names("gen_ai.response.model", generation=True),
    "id": Names("gen_ai.response.id", generation=True),
    "stream": Names("gen_ai.request.stream", generation=True),
    "finish_reasons": Names("gen_ai.response.finish_reasons", generation=True),
    "first_seconds": Names("gen_ai.response.time_to_first_chunk", generation=True),
    "input_tokens": Names("gen_ai.usage.input_tokens", "llm.token_count.prompt", generation=True),
    "output_tokens": Names("gen_ai.usage.output_tokens", "llm.token_count.completion", generation=True),
    "tokens": Names("", "llm.token_count.total", generation=True),
    "usd": Names("", "llm.cost.total", generation=True),
    "conversation": Names("gen_ai.conversation.id", "session.id"),
    "user": Names("user.id", "user.id"),
    "error_type": Names("error.type"),
    "inputs": Names("gen_ai.input.messages", "input.value", generation=True, content=True),
    "outputs": Names("gen_ai.output.messages", "output.value", generation=True, content=True),
}
# OpenInference asks how a content is written.
MIME_TYPES = {"inputs": "input.mime_type", "outputs": "output.mime_type"}

# Words in the name of a step, and the kind of span that it is.
_KINDS: Mapping[str, Kind] = {
    "guard": "GUARDRAIL",
    "pii": "GUARDRAIL",
    "moderation": "GUARDRAIL",
    "injection": "GUARDRAIL",
    "split": "DECISION",
    "cascade": "DECISION",
    "level": "DECISION",
    "router": "DECISION",
}


def named(own: Mapping[str, Any], kind: Kind, generates: bool, content: bool = False) -> dict[str, Any]:
    """The attributes of a span under all of their names; None is left out, and so is content unless asked for.

    >>> named({"model": "m", "rows": 2}, "LLM", generates=True)["llm.model_name"]
    'm'
    """
    written: dict[str, Any] = {SPAN_KIND: kind}
    for name, value in own.items():
        theirs = NAMES.get(name, Names())
        if value is None or (theirs.content and not content):
            continue
        written[OURS + name] = value
        if generates or not theirs.generation:
            written.update({each: value for each in theirs[:2] if each})
            if name in MIME_TYPES:
                written[MIME_TYPES[name]] = "application/json"
    return written


def kind_of(step: str, generates: bool) -> Kind:
    """The kind of a step or a stage, by its name."""
    if step == "model":
        return "LLM" if generates else "CHAIN"
    return next((kind for word, kind in _KINDS.items() if word in step.lower()), "CHAIN")


def schema_of(generates: bool) -> str:
    """The schema that the names of a span follow."""
    return GEN_AI_SCHEMA if generates else OTEL_SCHEMA
