"""A request's spans follow from its records: the same ids in every process, chosen by a hash of the id."""

from __future__ import annotations

import pytest

from roadworthy.core.record import Record
from roadworthy.core.spec import Application, Columns, Data, Field, ModelSpec, Monitor, Slo, Spec
from roadworthy.core.wire import Step
from roadworthy.observe.export.traces import Tracer, request_of, requests_of

EVERY = Tracer("toy", share=1.0)
NONE = Tracer("toy", share=0.0)


def record(id: str = "r1", at: float = 1000.0, **more) -> Record:
    given = {"seconds": {"queue": 0.1, "model": 0.2, "total": 0.35}, **more}
    arm, inputs, outputs = given.pop("arm", "stable"), given.pop("inputs", {"x": 1}), given.pop("outputs", {"y": 0.5})
    return Record(id, at, "ab" * 32, arm, inputs, outputs, **given)


def facts(span) -> dict:
    """The attributes as plain values."""
    found = {}
    for attribute in span.attributes:
        value = attribute.value
        known = (value.string_value, value.bool_value, value.int_value, value.double_value, value.array_value)
        found[attribute.key] = next(each for each in known if each is not None)
    return found


def named_spans(trace) -> dict:
    return {span.name: span for span in trace.spans}


def test_a_request_has_a_span_and_a_child_for_each_stage_end_to_end():
    spans = named_spans(EVERY([record()]))
    root, queue, model = spans["predict toy"], spans["queue"], spans["model"]
    assert (root.kind, root.start_time_unix_nano, root.end_time_unix_nano) == (2, "1000000000000", "1000350000000")
    assert (queue.start_time_unix_nano, queue.end_time_unix_nano) == ("1000000000000", "1000100000000")
    assert (model.start_time_unix_nano, model.end_time_unix_nano) == ("1000100000000", "1000300000000")
    assert queue.parent_span_id == model.parent_span_id == root.span_id
    assert {span.trace_id for span in spans.values()} == {root.trace_id}
    assert len({span.span_id for span in spans.values()}) == 3
    assert facts(root)["roadworthy.release"] == "ab" * 32
    assert root.status.code == 0


def test_a_step_without_a_time_is_a_span_without_a_length():
    path = (Step("pii_guard", "clean"), Step("fallback", "the model failed"), Step("queue", "was long"))
    spans = named_spans(EVERY([record(path=path)]))
    guard, fallback = spans["pii_guard"], spans["fallback"]
    assert guard.start_time_unix_nano == guard.end_time_unix_nano
    assert facts(guard)["openinference.span.kind"] == "GUARDRAIL"
    assert facts(fallback)["roadworthy.because"] == "the model failed"
    # A step that has a stage of the same name is told there.
    assert facts(spans["queue"])["roadworthy.because"] == "was long"
    assert len(spans) == 5


def test_two_steps_of_one_name_are_two_spans():
    spans = EVERY([record(path=(Step("cascade", "unsure"), Step("cascade", "sure")))]).spans
    assert len({span.span_id for span in spans}) == len(spans) == 5


def test_the_rows_of_a_request_are_one_span():
    rows = [record(f"r1.{k}") for k in range(3)]
    ((key, found),) = requests_of(rows).items()
    assert (key[0], len(found)) == ("r1", 3)
    assert facts(EVERY(found).spans[0])["roadworthy.rows"] == "3"


def test_requests_that_callers_number_alike_are_kept_apart():
    singles = [record("order.1", seconds={"total": 0.1}), record("order.2", seconds={"total": 0.2})]
    assert len(requests_of(singles)) == 2
    assert len(requests_of([record("order.1", seconds={}), record("order.2", seconds={})])) == 2


def test_an_id_with_a_point_that_is_no_row_stays_whole():
    assert [request_of(id) for id in ("r7.2", "r7", "v1.x", ".5")] == ["r7", "r7", "v1.x", ".5"]


def test_ids_are_the_same_wherever_they_are_made():
    first, again = EVERY([record()]), Tracer("toy", share=1.0)([record()])
    assert first.spans == again.spans
    assert first.spans[0].trace_id == "2c3491e4962a350a0ea29c04f75e0753"


def test_the_chosen_share_is_the_share_that_was_asked_for():
    tracer = Tracer("toy", share=0.1)
    chosen = [tracer([record(f"id{k}")]) for k in range(4000)]
    kept = [trace for trace in chosen if trace]
    assert 0.08 < len(kept) / 4000 < 0.12
    # Who asks for more gets these among them.
    more = Tracer("toy", share=0.2)
    assert all(more([record(trace.request)]) for trace in kept)
    # 1 - th / 2^56 is the share, so that a backend can count what a span stands for.
    state = kept[0].spans[0].trace_state
    assert state.startswith("ot=th:")
    assert 1 - int(state[6:].ljust(14, "0"), 16) / 2**56 == pytest.approx(0.1)


def test_errors_and_slow_requests_are_always_chosen():
    slow = Tracer("toy", share=0.0, slow_seconds=0.3)
    assert NONE([record()]) is None
    assert NONE([record(error="Late: 3 s")]).why == "error"
    assert slow([record()]).why == "slow"
    assert slow([record(seconds={"total": 0.2})]) is None
    assert NONE([record(error="Late: 3 s")]).spans[0].trace_state == ""


def test_an_error_is_told_by_its_kind_and_not_by_its_words():
    root = NONE([record(error="BadRequest: 'my secret' is no number")]).spans[0]
    assert (root.status.code, root.status.message) == (2, "BadRequest")
    assert facts(root)["error.type"] == "BadRequest"
    assert "secret" not in str(root)
    open_one = Tracer("toy", share=0.0, content=True)([record(error="BadRequest: 'my secret'")]).spans[0]
    assert "secret" in open_one.status.message


def test_a_caller_who_traces_already_finds_us_in_his_trace():
    given = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    traced = NONE([record(tags={"traceparent": f"00-{given[0]}-{given[1]}-01", "tenant": "acme"})])
    root = traced.spans[0]
    assert (traced.why, root.trace_id, root.parent_span_id) == ("asked", *given)
    assert facts(root)["roadworthy.tag.tenant"] == "acme"
    assert NONE([record(tags={"traceparent": f"00-{given[0]}-{given[1]}-00"})]) is None
    assert NONE([record(tags={"traceparent": "nonsense"})]) is None


def test_a_shadow_has_a_trace_of_its_own_that_links_to_the_answer():
    answered, shadow = EVERY([record()]).spans[0], EVERY([record(arm="shadow")]).spans[0]
    assert shadow.trace_id != answered.trace_id
    (link,) = shadow.links
    assert (link.trace_id, link.span_id) == (answered.trace_id, answered.span_id)


def test_a_failure_and_the_answer_to_the_second_try_are_two_spans():
    failed, answered = EVERY([record(error="Late: x")]).spans[0], EVERY([record()]).spans[0]
    assert failed.span_id != answered.span_id


def test_a_generation_is_told_once_and_in_both_languages():
    tracer = Tracer("chat", generates=True, share=1.0)
    said = {"text": "hello", "finish_reason": "stop", "output_tokens": 5, "input_tokens": 3}
    spans = named_spans(tracer([record(outputs=said, tokens=8, usd=0.01)]))
    root, model = facts(spans["text_completion chat"]), facts(spans["model"])
    assert "llm.token_count.completion" not in root
    assert (model["gen_ai.usage.input_tokens"], model["llm.token_count.completion"]) == ("3", "5")
    assert (model["llm.token_count.total"], model["openinference.span.kind"]) == ("8", "LLM")
    assert model["gen_ai.response.finish_reasons"]["values"][0].string_value == "stop"
    assert "hello" not in str(spans)
    whole = Tracer("chat", generates=True, share=1.0, content=True)([record(outputs=said)])
    assert "hello" in str(whole)


def test_a_stream_tells_when_its_first_piece_came():
    tracer = Tracer("chat", generates=True, share=1.0)
    (root,) = tracer([record(seconds={"first": 0.05, "total": 0.4})]).spans
    assert root.events[0].time_unix_nano == "1000050000000"
    assert facts(root)["gen_ai.response.time_to_first_chunk"] == 0.05
    assert facts(root)["openinference.span.kind"] == "LLM"


def test_the_project_file_says_what_is_slow():
    spec = Spec(
        Application("chat", "generation", {"prompt": Field("text")}),
        Data(Columns("y"), "a", "b"),
        ModelSpec(),
        monitor=Monitor(trace_share=0.25, slos=(Slo("a"), Slo("b", within_ms=500), Slo("c", within_ms=200))),
    )
    assert Tracer.of(spec) == Tracer("chat", True, 0.25, 0.2)


def test_a_share_that_is_none_is_refused():
    with pytest.raises(ValueError, match="must be between 0 and 1, got 1"):
        Tracer("toy", share=1.5)
