"""A fit is for the models that it was fitted to, as it was written; another one's promise is refused."""

from __future__ import annotations

import msgspec
import pytest

from roadworthy.core.errors import SpecError
from roadworthy.core.fitted import refuse_other, sealed

FIT = b'{"levels": [{"keep_from": 0.8}], "target": {"agreement": 0.97}}'
MEMBERS = {"small": "ab", "large": "cd"}


def test_the_models_that_it_was_fitted_to_may_use_it_however_it_is_laid_out():
    file = sealed(FIT, MEMBERS)
    assert msgspec.json.decode(file)["levels"] == [{"keep_from": 0.8}]
    refuse_other(file, MEMBERS, "policy.json")
    refuse_other(msgspec.json.encode(msgspec.json.decode(file)), MEMBERS, "policy.json")
    refuse_other(sealed(file, MEMBERS), MEMBERS, "policy.json")


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"small": "xx", "large": "cd"}, "fitted to another 'small' than the release has"),
        ({"large": "cd", "small": "ab"}, "the members small, large, and the release has large, small"),
        ({"small": "ab", "large": "cd", "huge": "ef"}, "the release has small, large, huge"),
    ],
)
def test_other_models_are_refused(members, said):
    with pytest.raises(SpecError, match=said):
        refuse_other(sealed(FIT, MEMBERS), members, "policy.json")


def test_a_number_changed_by_hand_is_refused():
    changed = sealed(FIT, MEMBERS).replace(b"0.8", b"0.0")
    with pytest.raises(SpecError, match=r"'policy.json' was changed after it was fitted.*settings of the `policy`"):
        refuse_other(changed, MEMBERS, "policy.json")


def test_who_is_elsewhere_is_not_known_and_a_file_that_does_not_say_is_let_through():
    refuse_other(sealed(FIT, {**MEMBERS, "large": ""}), MEMBERS, "policy.json")
    refuse_other(sealed(FIT, MEMBERS), {**MEMBERS, "large": ""}, "policy.json")
    for file in (FIT, b"", b"[1]", b"{", b'{"fitted_to": 3}'):
        refuse_other(file, MEMBERS, "policy.json")
