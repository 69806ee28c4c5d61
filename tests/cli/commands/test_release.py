"""`roadworthy release` keeps the model; the first goes live, the same one again is the same release."""

from __future__ import annotations

from roadworthy.registry.releases import Registry


def test_the_first_release_goes_live_with_who_and_why(call, clinic, state):
    told = call("release", "--project", clinic, "--by", "ada", "--why", "first", "--json")
    assert (told.code, told.body["live"]) == (0, True)
    change = Registry(state).history("clinic", "stable")[-1]
    assert (change.digest, change.by, change.why) == (told.body["digest"], "ada", "first")


def test_the_same_model_again_is_the_same_release(call, released, state):
    live = Registry(state).alias("clinic", "stable")
    for _ in range(2):
        assert call("release", "--project", released, "--json").body["digest"] == live
    assert [release.digest for release in Registry(state).list()] == [live]


def test_another_model_waits_for_a_rollout(call, released, rewrite, state):
    live = Registry(state).alias("clinic", "stable")
    rewrite("  engine: onnx", "  engine: {onnx: {threads: 2}}")
    told = call("release", "--project", released)
    assert told.code == 0
    assert "next: roadworthy rollout start" in told.out
    assert Registry(state).alias("clinic", "stable") == live
    assert len(Registry(state).list()) == 2


def test_the_same_columns_in_another_order_are_another_release(call, released, rewrite, state):
    texture, smoothness = "    texture: {kind: number, nullable: true}\n", "    smoothness: {kind: number}\n"
    rewrite(texture + smoothness, smoothness + texture)
    assert call("release", "--project", released).code == 0
    orders = [tuple(release.signature.inputs) for release in Registry(state).list()]
    assert orders == [("radius", "texture", "smoothness"), ("radius", "smoothness", "texture")]


def test_a_model_that_does_not_fit_is_not_kept(call, clinic, rewrite, state):
    rewrite("    smoothness: {kind: number}\n", "")
    assert call("release", "--project", clinic).code == 2
    assert Registry(state).list() == []


def test_a_damaged_model_is_not_kept(call, clinic, state):
    file = clinic / "model" / "clinic.onnx"
    file.write_bytes(file.read_bytes()[:100])
    told = call("release", "--project", clinic)
    assert (told.code, "clinic.onnx' is not an ONNX model" in told.err) == (2, True)
    assert Registry(state).list() == []
