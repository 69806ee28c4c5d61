"""What a file is follows from its bytes; suffixes lie, and stored files have none."""

from __future__ import annotations

import io
import pickle
import zipfile

import pytest

from roadworthy.serve.formats.kind import kind_of


def archive(*names: str) -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as made:
        for name in names:
            made.writestr(name, b"")
    return whole.getvalue()


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", "unknown"),
        (b"\x08\x09\x12\x04test", "onnx"),
        (b"\x10\0\0\0\0\0\0\0{}", "safetensors"),
        (b"\x93NUMPY\x01\0", "npy"),
        (pickle.dumps([1], 0), "pickle"),
        (pickle.dumps({"a": 1}, 1), "pickle"),
        (pickle.dumps([1], 5), "pickle"),
        (b"(a sentence in brackets)", "unknown"),
        (b"\x78\x9cdata", "joblib"),
        (b"\x1f\x8bdata", "joblib"),
        (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.", "torch legacy"),
        (b"run_id: 1\nflavors:\n", "mlmodel"),
        (b"PK\x03\x04 and no more", "zip"),
        (archive("schema.json", "0.npy"), "skops"),
        (archive("a.npy", "b.npy"), "npz"),
        (archive("m/data.pkl", "m/version"), "torch"),
        (archive("m/data.pkl", "m/constants.pkl"), "torchscript"),
        (archive("m/archive_format", "m/models/model.json"), "exported"),
        (archive("model/MLmodel", "model/model.pkl"), "mlflow"),
        (archive("readme.txt"), "zip"),
    ],
)
def test_content_says_what_it_is(data: bytes, kind: str) -> None:
    assert kind_of(io.BytesIO(data)) == kind
