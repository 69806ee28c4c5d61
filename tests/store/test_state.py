"""The state directory opens whole or says why not, and has one server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from roadworthy.core.errors import Taken
from roadworthy.core.record import Record
from roadworthy.store.events import read_events, write_event
from roadworthy.store.files import StoreError
from roadworthy.store.state import State


def test_what_was_kept_is_there_when_it_is_opened_again(tmp_path):
    row = Record("one", 1.0, "r", "stable", {}, {})
    with State.open(tmp_path / "state") as state:
        state.records.write([row])
        write_event(state.engine, 1.0, "deploy", "clinic")
        assert {"releases", "aliases", "rollouts", "events"} <= set(state.tables)
    with State.open(tmp_path / "state", "process") as state:
        assert state.records.read() == [row]
        assert [event.kind for event in read_events(state.engine)] == ["deploy"]


@pytest.mark.parametrize("file", ["metadata.db", "records.db"])
def test_a_broken_file_is_named_and_the_others_are_let_go(tmp_path, file):
    State.open(tmp_path).close()
    (tmp_path / file).write_bytes(b"not a database, by any means....".ljust(4096) * 4)
    with pytest.raises(StoreError, match=f"`.*{file}`: .*SQLITE_NOTADB"):
        State.open(tmp_path)


def test_a_directory_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match=r"cannot open the state directory `.*file/state`"):
        State.open(tmp_path / "file" / "state")


def test_a_second_server_is_told_who_is_there(tmp_path):
    with State.open(tmp_path) as state, state.lock_server("serve clinic on port 8080"):
        says = rf"`{tmp_path}` is being served by process {os.getpid()} \(serve clinic on port 8080\); stop that one"
        with State.open(tmp_path) as second, pytest.raises(Taken, match=says), second.lock_server("replay"):
            pass


def test_the_lock_is_free_again_after_the_block(tmp_path):
    with State.open(tmp_path) as state:
        for what in ("first", "second"):
            with state.lock_server(what):
                assert (tmp_path / "server.lock").read_text() == f"{os.getpid()} {what}"


SERVER = """
import sys, time
from pathlib import Path
from roadworthy.store.state import State

with State.open(Path(sys.argv[1])) as state, state.lock_server("serve"):
    print("locked", flush=True)
    time.sleep(60)
"""


def test_the_lock_of_a_killed_server_is_free(tmp_path):
    with subprocess.Popen([sys.executable, "-c", SERVER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout.readline() == "locked\n"
        with State.open(tmp_path) as state:
            with pytest.raises(Taken, match=f"process {server.pid} "), state.lock_server("second"):
                pass
            server.send_signal(signal.SIGKILL)
            server.wait()
            with state.lock_server("second"):
                pass


OPENER = """
import sys
from pathlib import Path
from roadworthy.core.record import Record
from roadworthy.store.events import write_event
from roadworthy.store.state import State

sys.stdin.readline()
with State.open(Path(sys.argv[1])) as state:
    state.records.write([Record(sys.argv[2], 0.0, "r", "stable", {}, {})])
    write_event(state.engine, 0.0, "deploy", sys.argv[2])
"""


def test_processes_that_start_together_on_a_new_directory_all_find_it_whole(tmp_path):
    state = tmp_path / "state"
    others = [
        subprocess.Popen([sys.executable, "-c", OPENER, str(state), str(k)], stdin=subprocess.PIPE, text=True)
        for k in range(3)
    ]
    for other in others:
        other.stdin.write("go\n")
        other.stdin.close()
    assert [other.wait(timeout=60) for other in others] == [0, 0, 0]
    with State.open(state) as opened:
        assert opened.records.count() == 3
        assert len(read_events(opened.engine)) == 3


HOLDER = """
import sys, time
from pathlib import Path
from roadworthy.store.events import write_event
from roadworthy.store.state import State

with State.open(Path(sys.argv[1])) as state:
    with State.open(Path(sys.argv[1])) as second:
        write_event(second.engine, 0.0, "deploy", "second")
    print("held", flush=True)
    sys.stdin.readline()
    write_event(state.engine, 1.0, "deploy", "late")
"""


def test_who_opens_a_state_that_is_held_and_ends_leaves_its_write_ahead_log(tmp_path):
    # Whoever closes the file itself drops SQLite's locks, and the next process to end deletes the log under it.
    State.open(tmp_path).close()
    holder = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(holder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as held:
        assert held.stdout.readline() == "held\n"
        ended = subprocess.run([sys.executable, "-c", OPENER, str(tmp_path), "x"], input="go\n", text=True, timeout=60)
        assert ended.returncode == 0
        open_files = [str(file.readlink()) for file in Path(f"/proc/{held.pid}/fd").iterdir()]
        assert [name for name in open_files if "-wal" in name and "(deleted)" not in name]
        assert not [name for name in open_files if "(deleted)" in name and ".db" in name]
        held.stdin.write("go\n")
        held.stdin.close()
        assert held.wait(timeout=60) == 0
    with State.open(tmp_path) as state:
        assert {event.subject for event in read_events(state.engine)} == {"second", "x", "late"}


def test_the_migrations_are_in_the_package():
    from roadworthy.store.metadata import MIGRATIONS

    assert sorted(path.name for path in MIGRATIONS.rglob("*") if path.suffix in {".py", ".mako"}) == [
        "env.py",
        "script.py.mako",
        "v0001_initial.py",
        "v0002_watching.py",
        "v0003_releasing.py",
        "v0004_spending.py",
    ]
    assert Path(MIGRATIONS).parent.name == "store"


def test_a_deed_is_audited_in_its_own_transaction(both_states):
    audit = both_states.tables["audit"]
    with both_states.engine.connect() as connection:
        both_states.audited(connection, 1.0, "anna", "tried", "clinic", {"n": 1})
        connection.rollback()
    with both_states.engine.begin() as connection:
        hash = both_states.audited(connection, 2.0, "anna", "did", "clinic")
    with both_states.engine.connect() as connection:
        assert [(row.action, row.hash) for row in connection.execute(audit.select())] == [("did", hash)]


def test_a_start_that_was_killed_before_the_first_write_is_no_truncation(tmp_path):
    (tmp_path / "metadata.db").write_bytes(b"")
    with State.open(tmp_path, "process") as state:
        assert read_events(state.engine) == []
