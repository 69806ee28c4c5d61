"""`roadworthy key` makes, shows once, lists and revokes."""

from __future__ import annotations

from roadworthy.app.keys import KeyFile
from roadworthy.store.events import read_events


def test_a_key_is_shown_once_and_its_making_is_in_the_history(call, clinic, state):
    made = call(
        "key", "new", "ada", "--scope", "infer", "--scope", "control", "--days", "9", "--project", clinic, "--json"
    )
    assert made.code == 0
    text = made.body["key"]
    (key,) = KeyFile(state.directory).read()
    assert (key.name, key.scopes, round(key.expires - key.created)) == ("ada", ("infer", "control"), 9 * 86400)
    listed = call("key", "list", "--project", clinic)
    assert "ada" in listed.out
    assert text not in listed.out
    (event,) = read_events(state.engine, "key_made")
    assert (event.subject, event.data) == ("ada", {"scopes": ["infer", "control"], "days": 9.0})
    assert text not in str(event)


def test_a_revoked_key_stays_in_the_list(call, clinic, state):
    call("key", "new", "ada", "--project", clinic)
    assert call("key", "revoke", "ada", "--project", clinic).code == 0
    (key,) = call("key", "list", "--project", clinic, "--json").body
    assert (key["name"], key["state"]) == ("ada", "revoked")
    assert [event.subject for event in read_events(state.engine, "key_revoked")] == ["ada"]


def test_what_is_missing_or_unknown_is_a_sentence(call, clinic):
    assert "no API keys" in call("key", "list", "--project", clinic).out
    told = call("key", "new", "--project", clinic)
    assert (told.code, "which key? `roadworthy key new NAME`" in told.err) == (2, True)
    told = call("key", "revoke", "ada", "--project", clinic)
    assert (told.code, "no valid key named 'ada'" in told.err) == (2, True)
    told = call("key", "new", "ada", "--scope", "everything", "--project", clinic)
    assert (told.code, "no scope named 'everything'" in told.err) == (2, True)
