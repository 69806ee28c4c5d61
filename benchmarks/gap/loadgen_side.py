"""Runs MLPerf LoadGen against a line server: a program for LoadGen's own virtual environment.

`python loadgen_side.py SCENARIO PORT RATE QUERIES FOLDER` writes a JSON object: LoadGen's verdict and its percentiles
(ms). A line of the server is a number, which comes back after that number's latency.
"""

from __future__ import annotations

import json
import re
import socket
import sys
import threading
from pathlib import Path

import mlperf_loadgen as lg


class Line:
    """One connection on which every query is in flight that LoadGen wants; a thread reads the answers."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=self.read, daemon=True).start()
        self.waiting: dict[int, int] = {}
        self.number = 0

    def issue(self, samples: list[lg.QuerySample]) -> None:
        for sample in samples:
            number, self.number = self.number, self.number + 1
            self.waiting[number] = sample.id
            self.socket.sendall(b"%d\n" % number)

    def read(self) -> None:
        for line in self.socket.makefile("rb"):
            lg.QuerySamplesComplete([lg.QuerySampleResponse(self.waiting.pop(int(line)), 0, 0)])


def main() -> None:
    scenario, port, rate, queries, folder = (
        sys.argv[1],
        int(sys.argv[2]),
        float(sys.argv[3]),
        int(sys.argv[4]),
        sys.argv[5],
    )
    line = Line(port)
    settings = lg.TestSettings()
    settings.scenario = getattr(lg.TestScenario, scenario)
    settings.mode = lg.TestMode.PerformanceOnly
    settings.min_duration_ms = 0
    settings.min_query_count = settings.max_query_count = queries
    settings.server_target_qps = rate
    settings.server_target_latency_ns = 10**9
    settings.single_stream_expected_latency_ns = 30_000_000
    outputs = lg.LogOutputSettings()
    outputs.outdir, outputs.copy_summary_to_stdout = folder, False
    logs = lg.LogSettings()
    logs.log_output = outputs
    sut, qsl = lg.ConstructSUT(line.issue, lambda: None), lg.ConstructQSL(1024, 1024, lambda _: None, lambda _: None)
    lg.StartTestWithLogSettings(sut, qsl, settings, logs)
    text = (Path(folder) / "mlperf_log_summary.txt").read_text()
    found = re.findall(r"(\d+\.\d+) percentile latency \(ns\)\s*:\s*(\d+)", text)
    percentiles = {f"p{float(share):g}_ms": int(ns) / 1e6 for share, ns in found}
    print(json.dumps({"valid": "Result is : VALID" in text, "percentiles": percentiles}))


if __name__ == "__main__":
    main()
