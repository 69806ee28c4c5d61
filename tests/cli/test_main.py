"""The command line finds its commands, says what it wants, and turns a refusal into one sentence and exit code 2."""

from __future__ import annotations

import pytest

from roadworthy import __version__
from roadworthy.cli.main import modules

COMMANDS = dict(modules())


def test_the_commands_of_the_house_are_all_there():
    wanted = "doctor explain gap label list new release replay retrain rollout run serve"
    assert set(wanted.split()) <= set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_what_a_command_does_and_shows_an_example(call, name):
    told = call(name, "--help")
    assert told.code == 0
    assert COMMANDS[name].EXAMPLE in told.out
    assert COMMANDS[name].EXAMPLE.startswith(f"roadworthy {name} ")
    assert (COMMANDS[name].__doc__ or "").split("\n")[0] in told.out
    assert "--json" in told.out


def test_the_help_lists_every_command(call):
    told = call("--help")
    assert told.code == 0
    assert all(f"    {name}" in told.out for name in COMMANDS)


@pytest.mark.parametrize(("wrong", "right"), [("relase", "release"), ("gpa", "gap"), ("rolout", "rollout")])
def test_a_wrong_command_gets_the_nearest_one(call, wrong, right):
    told = call(wrong)
    assert told.code == 2
    assert f"did you mean {right!r}?" in told.err
    assert "--help" in told.err


def test_a_word_like_no_command_gets_all_of_them(call):
    told = call("zzzz")
    assert told.code == 2
    assert "did you mean" not in told.err
    assert "retrain" in told.err


def test_a_wrong_choice_inside_a_command_gets_the_nearest_one(call):
    told = call("rollout", "strat")
    assert (told.code, "did you mean 'start'?" in told.err) == (2, True)


def test_no_command_at_all_is_wrong_use(call):
    assert call().code == 2


def test_the_version_is_told(call):
    assert call("--version").out == f"roadworthy {__version__}\n"


def test_a_refusal_is_one_sentence_without_a_traceback(call, tmp_path):
    told = call("release", "--project", tmp_path)
    assert (told.code, told.out) == (2, "")
    assert told.err.startswith("roadworthy release: ")
    assert len(told.err.splitlines()) == 1


def test_a_refusal_is_json_for_a_program(call, tmp_path):
    told = call("release", "--project", tmp_path, "--json")
    assert told.code == 2
    assert "no such project file" in told.body["error"]
    assert told.body["error"] in told.err


def test_the_package_runs_as_a_module(spawn):
    assert spawn("--version").out == f"roadworthy {__version__}\n"
