"""`roadworthy audit` lists who did what, and finds what was changed afterwards."""

from __future__ import annotations

import sqlite3


def test_who_released_and_what_is_listed_and_verifies(call, released):
    told = call("audit", "--project", released)
    assert told.code == 0
    assert "released" in told.out or "release" in told.out
    checked = call("audit", "verify", "--project", released, "--json")
    assert (checked.code, checked.body["intact"]) == (0, True)
    assert checked.body["entries"] >= 2


def test_an_export_verifies_where_the_database_is_not(call, released, tmp_path):
    file = tmp_path / "audit.jsonl"
    told = call("audit", "export", file, "--project", released, "--json")
    assert told.body["entries"] == len(file.read_text().splitlines())
    assert call("audit", "verify", file, "--project", released).code == 0
    file.write_text(file.read_text().replace("stable", "staple"))
    forged = call("audit", "verify", file, "--project", released)
    assert (forged.code, "is not what was written" in forged.out) == (1, True)


def test_an_entry_that_was_changed_behind_our_back_is_found(call, released):
    database = sqlite3.connect(released / ".roadworthy" / "metadata.db")
    database.execute("DROP TRIGGER audit_no_update")
    database.execute("UPDATE audit SET by = 'nobody' WHERE seq = 1")
    database.commit()
    database.close()
    found = call("audit", "verify", "--project", released)
    assert found.code == 1
    assert "restore `metadata.db` from a backup" in found.out


def test_keys_and_holds_on_records_are_in_the_log_too(call, released):
    call("key", "new", "shop", "--project", released)
    call("key", "revoke", "shop", "--project", released)
    call("log", "hold", "--from", "2h ago", "--why", "the audit of May", "--project", released)
    told = [entry["action"] for entry in call("audit", "--project", released, "--json").body]
    assert told[-3:] == ["key made", "key revoked", "records held"]


def test_an_export_without_a_file_says_how(call, released):
    told = call("audit", "export", "--project", released)
    assert told.code == 2
    assert "roadworthy audit export audit.jsonl" in told.err
