"""The list of releases shows the newest first, and what each is now."""

from __future__ import annotations

import io
import time

import msgspec
import pytest
from rich.console import Console

from roadworthy.core.errors import SpecError
from roadworthy.registry.keeping.listing import Listing, collected_text, listing_text, size, standing_text


def shown(renderable):
    console = Console(file=io.StringIO(), width=160)
    console.print(renderable)
    return console.file.getvalue()


def test_the_newest_come_first_with_their_aliases_of_now(registry, made):
    old, new = made(b"12345", made_at=1.0), made(b"123", made_at=2.0, made_by="[ben]", parent="a" * 64)
    registry.point("clinic", "stable", new.digest, 5.0, "anna", "")
    registry.point("clinic", "stable", old.digest, 6.0, "anna", "back")
    registry.point("other", "stable", new.digest, 6.0, "anna", "")
    registry.point("other", "reserve", new.digest, 7.0, "anna", "")
    registry.approve(new.digest, 7.0, "cleo", "fine")
    registry.hold(old.digest, 8.0, "cleo", "wanted")
    found = registry.listing()
    assert [(r.digest, r.bytes, r.aliases, r.approvals, r.holds) for r in found.releases] == [
        (new.digest, 3, ("other/reserve", "other/stable"), 1, 0),
        (old.digest, 5, ("clinic/stable",), 0, 1),
    ]
    assert msgspec.json.decode(msgspec.json.encode(found), type=Listing) == found
    table = shown(listing_text(found))
    assert f"{new.digest[:12]}  clinic   1970-01-01 00:00  [ben]" in table
    assert "1 approved" in table
    assert "held" in table


def test_pages_and_names_narrow_the_list(registry, made):
    digests = [made(made_at=float(k)).digest for k in range(5)]
    assert [r.digest for r in registry.listing(limit=2, skip=1).releases] == digests[3:1:-1]
    assert "2 of 5 releases" in shown(listing_text(registry.listing(limit=2)))
    assert registry.listing(name="nobody").total == 0
    assert registry.listing(name="clinic", limit=1).total == 5
    with pytest.raises(SpecError, match="got limit=0, skip=0"):
        registry.listing(limit=0)


@pytest.mark.parametrize(("count", "told"), [(0, "0 B"), (999, "999 B"), (1234567, "1.235 MB"), (5e12, "5000 GB")])
def test_sizes_are_told_in_the_unit_that_fits(count, told):
    assert size(count) == told


def test_what_was_in_production_and_what_was_collected_are_told_in_tables(registry, made):
    kept, gone = made(b"1"), made(b"22", made_at=60.0)
    registry.point("clinic", "stable", kept.digest, 90.0, "[anna]", "the first")
    told = shown(standing_text(registry.at("clinic", 120.0)))
    assert "clinic at 1970-01-01 00:02 UTC" in told
    assert f"stable  {kept.digest[:12]}  1970-01-01 00:01  [anna]  the first" in told
    done = shown(collected_text(registry.collect((), time.time() + 1e6, "anna", "tidy")))
    assert "1 releases and 1 files: would free 2 B" in done
    assert gone.digest[:12] in done
    assert "kept: 1 because an alias meant it" in done
