from __future__ import annotations

from pathlib import Path

import pytest

from roadworthy.core.errors import BadData, Missing
from roadworthy.core.record import Record
from roadworthy.evaluate.load_test.trace_files import read_trace
from roadworthy.evaluate.load_test.traces import Trace, TracedRequest
from roadworthy.store.records import RecordLog

AZURE = """TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:17:03.9799600,4808,10
2023-11-16 18:17:04.0319600,3180,8
"""
AZURE_2024 = (
    "TIMESTAMP,ContextTokens,GeneratedTokens\n2024-05-10 00:00:00.009930+00:00,2162,5\n2024-05-10 00:00:01+00:00,3,4\n"
)
BURST_GPT = """Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type
5,12,3.2,ChatGPT,472,18,490,Conversation log
45.5,12,9.1,GPT-4,1087,230,1317,Conversation log
"""
MOONCAKE = """{"timestamp": 0, "input_length": 6755, "output_length": 500, "hash_ids": [0, 1, 2]}

{"timestamp": 3052, "input_length": 7319, "output_length": 490, "hash_ids": [0, 14]}
"""


def read(tmp_path: Path, text: str | bytes) -> Trace:
    path = tmp_path / "trace"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_trace(path)


@pytest.mark.parametrize(
    ("text", "first", "second"),
    [
        (AZURE, TracedRequest(0.0, 4808, 10), TracedRequest(0.052, 3180, 8)),
        (AZURE_2024, TracedRequest(0.0, 2162, 5), TracedRequest(0.99007, 3, 4)),
        (BURST_GPT, TracedRequest(0.0, 472, 18, "12"), TracedRequest(40.5, 1087, 230, "12")),
        (MOONCAKE, TracedRequest(0.0, 6755, 500, "", (0, 1, 2)), TracedRequest(3.052, 7319, 490, "", (0, 14))),
        ("1700000000.5\n1700000002\n", TracedRequest(0.0), TracedRequest(1.5)),
        ("\ufeff" + AZURE.replace("\n", "\r\n"), TracedRequest(0.0, 4808, 10), TracedRequest(0.052, 3180, 8)),
    ],
    ids=["azure", "azure 2024", "burstgpt", "mooncake", "numbers", "a mark and carriage returns"],
)
def test_each_format_is_told_by_its_first_line(tmp_path: Path, text: str, first: object, second: TracedRequest) -> None:
    trace = read(tmp_path, text)
    assert trace.requests[0] == first
    assert trace.requests[1].at == pytest.approx(second.at, abs=1e-6)
    assert trace.requests[1].output_tokens == second.output_tokens
    assert (trace.requests[1].session, trace.requests[1].blocks) == (second.session, second.blocks)
    assert len(trace.digest) == 64


def test_our_own_record_log_is_a_trace(tmp_path: Path) -> None:
    log = RecordLog(tmp_path / "records.db", "process")
    log.write(Record(f"r{k}", 1e9 + at, "d", "stable", {}, {}) for k, at in enumerate((0.0, 0.5, 4.0)))
    log.close()
    assert read_trace(tmp_path / "records.db").at.tolist() == [0.0, 0.5, 4.0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (AZURE + "yesterday,1,2\n", r"trace:4: .*'yesterday'"),
        (AZURE + "2023-11-16 18:17:05,x,2\n", r"trace:4: .*invalid literal for int"),
        (AZURE + "2023-11-16 18:17:05\n", r"trace:4: .*contexttokens"),
        (MOONCAKE + '{"timestamp": ', r"trace:4: "),
        (MOONCAKE + '{"input_length": 3}\n', r"trace:4: .*timestamp"),
        ("1.0\nnan\n", r"trace:2: 'nan' has no time"),
        ("a,b,c\n1,2,3\n", "begins with 'a,b,c', which is no trace known here .known: Azure"),
        ("", "begins with ''"),
        (b"\xff\xfe\x00", "is not UTF-8 text"),
        ("1.0\n", "at two different times"),
    ],
)
def test_a_file_that_is_no_trace_says_where_and_why(tmp_path: Path, text: str | bytes, said: str) -> None:
    with pytest.raises(BadData, match=said):
        read(tmp_path, text)


def test_a_file_that_is_not_there_is_missing(tmp_path: Path) -> None:
    with pytest.raises(Missing, match="no trace at"):
        read_trace(tmp_path / "none.csv")
