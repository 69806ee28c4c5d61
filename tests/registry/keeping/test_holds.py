"""A hold stands until it is lifted, and both are audited."""

from __future__ import annotations

import pytest

from roadworthy.core.errors import Missing, SpecError


def test_a_hold_stands_until_it_is_lifted(registry, made, deeds):
    digest = made().digest
    first = registry.hold(digest[:9], 5.0, "ben", "a complaint")
    second = registry.hold(digest, 6.0, "cleo", "the regulator asks")
    assert registry.holds() == [first, second]
    assert registry.lift(first.seq, 9.0, "ben", "settled").lifted_at == 9.0
    assert registry.holds() == [second]
    assert [hold.lifted_at for hold in registry.holds(lifted=True)] == [9.0, None]
    assert [(by, action) for by, action, _ in deeds()][1:] == [
        ("ben", "release held"),
        ("cleo", "release held"),
        ("ben", "hold lifted"),
    ]


def test_a_hold_that_does_not_stand_cannot_be_lifted(registry, made):
    hold = registry.hold(made().digest, 5.0, "ben", "a complaint")
    registry.lift(hold.seq, 6.0, "ben", "settled")
    for seq in (hold.seq, 77):
        with pytest.raises(Missing, match=rf"no hold {seq} on a release stands \(standing: none\)"):
            registry.lift(seq, 7.0, "ben", "settled")


def test_a_hold_has_a_name_and_a_reason(registry, made):
    with pytest.raises(SpecError, match="who asks for it and why, got by='' and why='x'"):
        registry.hold(made().digest, 5.0, "", "x")
