"""What the operator's listener tells and takes."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest

from roadworthy.app.client import Admin
from roadworthy.core.errors import BadRequest, Missing, RoadworthyError
from roadworthy.core.record import Label
from roadworthy.core.spec import Rollout, Stage
from roadworthy.registry.releases import Registry
from roadworthy.rollout.controller import Controller


def test_the_admin_syncs_tells_and_labels(start, state, made, predict_all):
    stable, other = made("0.25"), made("0.75")
    Registry(state).point("toy", "stable", stable, 1.0, "test", "first")
    _, address = start()
    admin = Admin(address.admin_url)
    Controller(state, Registry(state)).start("toy", other, Rollout((Stage("shadow"),), ()), 2.0, "test")
    told = admin.sync()
    assert told["deployment"] == "toy"
    assert told["traffic"]["mode"] == "shadow"
    assert told["problem"] == ""
    predict_all(address, "r1", "r2")
    admin.sync()
    assert {(c["release"], c["arm"], c["records"]) for c in admin.status()["counts"]} == {
        (stable, "stable", 2),
        (other, "shadow", 2),
    }
    report = admin.label([Label("r1", 1.0, 6.0), Label("nobody", 1.0, 6.0)])
    assert report["kept"] == 1
    assert [label["id"] for label in report["unknown"]] == ["nobody"]
    assert {record.label for record in state.records.get("r1")} == {1.0}


def test_who_said_a_label_is_kept_under_either_name(start, state, made, predict_all):
    Registry(state).point("toy", "stable", made("0.25"), 1.0, "test", "first")
    _, address = start()
    admin = Admin(address.admin_url)
    predict_all(address, "r1", "r2")
    admin.label([Label("r1", 1.0, 6.0, "person:anna")])
    admin._ask("POST", "/labels", b'[{"id":"r2","value":0,"at":7,"by":"person:ben"}]')
    assert [label.source for label in state.records.every_label()] == ["person:anna", "person:ben"]
    two = b'[{"id":"r2","value":0,"at":7,"by":"person:ben","source":"tower"}]'
    with pytest.raises(BadRequest, match="'person:ben' and `source` 'tower' of the label of 'r2' name two"):
        admin._ask("POST", "/labels", two)


def test_the_admin_refuses_what_is_no_label_and_what_comes_from_a_web_page(start, state, made):
    Registry(state).point("toy", "stable", made("0.25"), 1.0, "test", "first")
    _, address = start()
    with pytest.raises(BadRequest, match="Expected `float`, got `str`"):
        Admin(address.admin_url)._ask("POST", "/labels", b'[{"id":"r1","value":"late","at":1}]')
    with pytest.raises(Missing, match="no path '/predict' here"):
        Admin(address.admin_url)._ask("POST", "/predict", b"{}")
    with pytest.raises(RoadworthyError, match="no path '/sync' here"):
        Admin(address.url).sync()
    page = urllib.request.Request(f"{address.admin_url}/sync", method="POST", headers={"origin": "http://evil"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(page, timeout=10)
    with refused.value:
        assert refused.value.code == 403
