from __future__ import annotations

from roadworthy.route.routing.sessions import Sessions


def test_the_table_is_bounded_and_forgets_who_was_silent_longest() -> None:
    table = Sessions("session", 3, most=2, idle_seconds=100.0)
    first = table.of("a", 0.0)
    table.of("b", 1.0)
    assert table.of("a", 2.0) is first
    table.of("c", 3.0)
    assert len(table) == 2
    assert table.of("a", 4.0) is first


def test_a_session_stays_where_it_began_until_the_strong_one_was_wanted_often_enough() -> None:
    table = Sessions("session", 3, most=10, idle_seconds=100.0)
    session = table.of("a", 0.0)
    assert session is not None
    assert table.stays(session) is None
    stays = []
    for wanted in (False, True, True, True, False):
        table.note(session, wanted)
        stays.append(table.stays(session)[0])  # type: ignore[index]
    assert stays == [False, False, False, True, True]


def test_a_latch_leaves_requests_free_until_it_closes() -> None:
    table = Sessions("latch", 2, most=10, idle_seconds=100.0)
    session = table.of("a", 0.0)
    assert session is not None
    table.note(session, True)
    assert table.stays(session) is None
    table.note(session, True)
    assert table.stays(session)[0] is True  # type: ignore[index]
    assert table.of("a", 101.0) is not session


def test_without_a_key_or_stickiness_there_is_no_session() -> None:
    assert Sessions("no", 3, 10, 100.0).of("a", 0.0) is None
    assert Sessions("latch", 3, 10, 100.0).of("", 0.0) is None
