"""A collection removes what nothing refers to, and nothing else, also when it is killed in the middle."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import msgspec
import pytest
from sqlalchemy import insert, select, text

from roadworthy.core.artifact import Artifact, Release
from roadworthy.core.errors import BadData, Missing, SpecError
from roadworthy.core.spec import Signature
from roadworthy.registry.releases import Registry
from roadworthy.store.blobs import Blobs

LONG_AFTER = 30 * 86400.0


@pytest.fixture
def collect(registry):
    def run(kept=(), dry_run=False, at=None, least_age_hours=24.0):
        moment = time.time() + LONG_AFTER if at is None else at
        return registry.collect(kept, moment, "janitor", "monthly", least_age_hours, dry_run)

    return run


def left(registry):
    return [release.digest for release in registry.list()]


def files(state):
    return sorted(blob.digest for blob in state.blobs.all())


def test_what_nothing_refers_to_goes_with_its_file(registry, state, made, collect, deeds):
    kept, gone = made(b"stable"), made(b"left over", made_at=2.0)
    registry.point("clinic", "stable", kept.digest, 5.0, "anna", "")
    done = collect()
    assert [(r.digest, r.name) for r in done.releases] == [(gone.digest, "clinic")]
    assert (done.files, done.bytes, done.kept) == (1, len(b"left over"), {"an alias meant it": 1})
    assert (left(registry), files(state)) == ([kept.digest], [kept.artifacts[0].digest])
    assert deeds()[-1] == ("janitor", "garbage collected", "registry")
    with state.engine.connect() as connection:
        data = connection.execute(text("SELECT data FROM audit ORDER BY seq DESC LIMIT 1")).scalar()
    assert gone.digest in data
    assert gone.artifacts[0].digest in data
    with pytest.raises(Missing):
        registry.get(gone.digest)


def test_a_dry_run_says_the_same_and_removes_nothing(registry, state, made, collect, deeds):
    made(b"one"), made(b"two", made_at=2.0)
    before = (left(registry), files(state), deeds())
    told = collect(dry_run=True)
    assert (told.dry_run, told.bytes, len(told.releases)) == (True, 6, 2)
    assert (left(registry), files(state), deeds()) == before
    done = collect()
    assert (done.releases, done.files, done.bytes) == (told.releases, told.files, told.bytes)
    assert (left(registry), files(state)) == ([], [])


def test_a_file_that_another_release_has_stays(registry, state, made, collect):
    kept, gone = made(b"shared"), made(b"shared", note="other settings")
    registry.point("clinic", "stable", kept.digest, 5.0, "anna", "")
    done = collect()
    assert ([r.digest for r in done.releases], done.files, done.bytes) == ([gone.digest], 0, 0)
    assert registry.files(kept)["model"].read_bytes() == b"shared"


def test_whatever_an_alias_ever_meant_stays(registry, made, collect):
    first, second = made(b"1"), made(b"2")
    for at, digest in ((5.0, first.digest), (6.0, second.digest), (7.0, None)):
        registry.point("clinic", "reserve", digest, at, "anna", "")
    assert (collect().releases, collect().kept) == ((), {"an alias meant it": 2})


def test_whatever_a_rollout_tried_or_compared_with_stays(registry, state, made, collect):
    candidate, control, third = (made(bytes([k])) for k in range(3))
    with state.engine.begin() as connection:
        row = {"id": "r", "deployment": "clinic", "status": "aborted", "updated_at": 1.0}
        written = f'{{"candidate":"{candidate.digest}","control":"{control.digest}"}}'
        connection.execute(insert(state.tables["rollouts"]).values(**row, state=written))
    done = collect()
    assert ([r.digest for r in done.releases], done.kept) == ([third.digest], {"a rollout tried it": 2})


def test_a_hold_keeps_a_release_until_it_is_lifted(registry, made, collect):
    held = made(b"held")
    hold = registry.hold(held.digest, 5.0, "ben", "a complaint")
    assert collect().kept == {"a hold covers it": 1}
    registry.lift(hold.seq, 6.0, "ben", "settled")
    assert [r.digest for r in collect().releases] == [held.digest]


def test_what_records_name_stays(registry, made, collect):
    named, gone = made(b"1"), made(b"2")
    done = collect(kept={named.digest, "f" * 64})
    assert ([r.digest for r in done.releases], done.kept) == ([gone.digest], {"records name it": 1})


def test_what_a_kept_release_was_made_from_stays(registry, made, collect):
    grandparent = made(b"1", parent="a" * 64)
    parent = made(b"2", parent=grandparent.digest)
    child = made(b"3", parent=parent.digest)
    sibling = made(b"4", parent=parent.digest)
    registry.point("clinic", "stable", child.digest, 5.0, "anna", "")
    done = collect()
    assert [r.digest for r in done.releases] == [sibling.digest]
    assert done.kept == {"an alias meant it": 1, "another one was made from it": 2}


def test_what_is_young_stays_even_where_a_replay_dated_it_long_ago(registry, state, made, collect):
    release, now = made(b"just added", made_at=1.0), time.time()
    assert collect(at=now).kept == {"it is young": 1}
    for blob in state.blobs.all():
        os.utime(state.blobs.path(blob.digest), (now - 25 * 3600, now - 25 * 3600))
    assert [r.digest for r in collect(at=now, dry_run=True).releases] == [release.digest]
    assert collect(at=now, dry_run=True, least_age_hours=26.0).releases == ()


def test_approvals_signatures_and_lifted_holds_go_with_their_release(registry, state, made, collect):
    release = made(b"approved")
    registry.approve(release.digest, 2.0, "ben", "fine")
    registry.lift(registry.hold(release.digest, 3.0, "ben", "x").seq, 4.0, "ben", "y")
    profile = {"release": release.digest, "at": 1.0, "profile": b"", "sample": b""}
    with state.engine.begin() as connection:
        connection.execute(insert(state.tables["profiles"]).values(profile))
    collect()
    with state.engine.connect() as connection:
        for name in ("releases", "approvals", "release_holds", "profiles"):
            assert connection.execute(select(state.tables[name])).all() == []


def test_a_file_without_a_release_goes_once_it_is_old(registry, state, collect, tmp_path):
    (tmp_path / "orphan").write_bytes(b"orphan")
    digest = state.blobs.put(tmp_path / "orphan")
    (state.blobs.directory / "incoming-killed").write_bytes(b"half")
    assert collect(at=time.time()).files == 0
    assert files(state) == [digest]
    done = collect()
    assert (done.files, done.bytes, files(state)) == (1, len(b"orphan") + len(b"half"), [])
    assert not (state.blobs.directory / "incoming-killed").exists()


def test_a_release_may_be_added_again_after_it_was_collected(registry, made, collect):
    digest = made(b"again").digest
    collect()
    assert registry.files(made(b"again"))["model"].read_bytes() == b"again"
    assert left(registry) == [digest]


class Losing(Blobs):
    """Loses the first file right after it was put and looked at, as to a collection that runs in another process."""

    looked = 0

    def path(self, digest):
        found = super().path(digest)
        self.looked += 1
        if self.looked == 1:
            size = os.stat_result(found.stat())
            self.remove(digest)
            return SimpleNamespace(stat=lambda: size)
        return found


def test_a_file_that_was_collected_while_it_was_added_is_put_again(state, model):
    registry = Registry(replace(state, blobs=Losing(state.blobs.directory)))
    added = registry.add(Release("clinic", (Artifact("model", "", 0),), Signature({}, {})), {"model": model})
    assert Registry(state).files(added)["model"].read_bytes() == b"weights"


class Meanwhile:
    """A state directory in which somebody does something between the two transactions of a collection."""

    def __init__(self, state, deed):
        self.state, self.deed, self.armed = state, deed, False

    def __getattr__(self, name):
        return getattr(self.state, name)

    @property
    def engine(self):
        if self.armed:
            self.armed = False
            self.deed()
        return self.state.engine

    def audited(self, *entry):
        self.armed = True
        return self.state.audited(*entry)


def test_a_file_that_is_taken_up_again_during_a_collection_stays(state, made):
    gone = made(b"wanted again")
    anew = msgspec.structs.replace(gone, note="without a file of its own")
    home = Meanwhile(state, lambda: Registry(state).add(anew, {}))
    done = Registry(home).collect((), time.time() + LONG_AFTER, "janitor", "monthly", dry_run=False)
    assert [release.digest for release in done.releases] == [gone.digest]
    assert Registry(state).files(anew)["model"].read_bytes() == b"wanted again"


KILLED = """
import os, sys, time
from dataclasses import replace
from pathlib import Path
from roadworthy.registry.releases import Registry
from roadworthy.store.blobs import Blobs
from roadworthy.store.state import State

class Killed(Blobs):
    left = int(sys.argv[3])
    def remove(self, digest):
        if not self.left:
            os._exit(9)
        self.left -= 1
        super().remove(digest)

with State.open(Path(sys.argv[1]), "process", metadata=sys.argv[2]) as state:
    registry = Registry(replace(state, blobs=Killed(state.blobs.directory)))
    registry.collect((), time.time() + 1e7, "janitor", "monthly", dry_run=False)
"""


@pytest.mark.parametrize("after", [0, 2])
def test_a_collection_that_is_killed_leaves_nothing_dangling(registry, state, made, collect, metadata_url, after):
    stable = made(b"stable")
    registry.point("clinic", "stable", stable.digest, 5.0, "anna", "")
    for k in range(4):
        made(bytes([k]))
    command = [sys.executable, "-c", KILLED, str(state.directory), metadata_url, str(after)]
    assert subprocess.run(command, timeout=60).returncode == 9
    assert [registry.files(release).keys() for release in registry.list()] == [{"model"}]
    assert len(files(state)) == 1 + 4 - after
    done = collect()
    assert (done.releases, done.files, files(state)) == ((), 4 - after, [stable.artifacts[0].digest])


def test_a_damaged_manifest_stops_a_collection_before_it_takes_its_files(registry, state, made, collect):
    release, before = made(b"kept"), files(state)
    registry.point("clinic", "stable", release.digest, 5.0, "anna", "")
    other = release.artifacts[0].digest.translate(str.maketrans("0123456789", "1234567890"))
    with state.engine.begin() as connection:
        change = text("UPDATE releases SET manifest = replace(manifest, :there, :instead)")
        connection.execute(change, {"there": release.artifacts[0].digest, "instead": other})
    with pytest.raises(BadData, match="has changed"):
        collect()
    assert files(state) == before


def test_an_age_below_zero_is_refused(collect):
    with pytest.raises(SpecError, match="`least_age_hours` must be 0 or more, got -1"):
        collect(least_age_hours=-1)
