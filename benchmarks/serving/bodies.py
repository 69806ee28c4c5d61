"""What the clients ask: distinct rows, as the body that each server's protocol wants, prebuilt into whole requests.

The first number of a row and the request's id hold `%(n)09d`, which the client replaces by a number it never used
before: no two requests are alike, and nothing is ever answered out of a cache by accident.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from serving.models import CLASSES, WIDTH, Floats

NUMBER = "%(n)09d"


def rows(n: int, seed: int = 0) -> Floats:
    """Normal values of six decimals, shape (n, 64); the first of each row is left to the client's number."""
    drawn = np.random.default_rng(seed).normal(size=(n, WIDTH)).round(6).astype(np.float32)
    drawn[:, 0] = 0.0
    return drawn


def filled(row: Floats, n: int) -> Floats:
    """The row that the server sees for the client's number `n`."""
    whole = row.copy()
    whole[0] = n * 1e-9
    return whole


def unfilled(row: Floats, n: int) -> Floats:
    """The row that the server sees in the body of `repeated`."""
    return row


def filled_binary(row: Floats, n: int) -> Floats:
    """The row that the server sees in the body of `binary`."""
    return np.concatenate([np.frombuffer(b"%08d" % n, np.float32), row[2:]])


def values(row: Floats, first: str = f"0.{NUMBER}") -> str:
    """The row as JSON numbers, the first one being a billionth of the client's number."""
    return ",".join([first, *(f"{value:.6f}" for value in row[1:].tolist())])


def named(row: Floats, k: int) -> bytes:
    """`{"x": [...]}`, for servers whose protocol is whatever the author of the service wants."""
    return b'{"x":[%b]}' % values(row).encode()


def nested(row: Floats, k: int) -> bytes:
    """`{"x": [[...]]}`: a batch of one."""
    return b'{"x":[[%b]]}' % values(row).encode()


def tensors(row: Floats, k: int) -> bytes:
    """Open Inference V2 with the least that it needs."""
    return _open_inference(values(row))


def tensors_with_key(row: Floats, k: int) -> bytes:
    """Open Inference V2 with an id, and the key of one of a thousand users."""
    return _with_key(values(row), k)


def repeated(row: Floats, k: int) -> bytes:
    """The same, but every request with this row is alike except for its id."""
    return _with_key(values(row, "0.0"), k)


def binary(row: Floats, k: int) -> bytes:
    """Open Inference V2 with the row as raw little-endian floats behind the JSON, which has HEADER_BYTES."""
    # Eight digits, read as two floats, are two small numbers that no other request has.
    return _header(k) + b"%(n)08d" + row[2:].tobytes().replace(b"%", b"%%")


def requests(path: str, headers: Mapping[str, str], bodies: Sequence[bytes]) -> list[bytes]:
    """Whole HTTP requests around the bodies."""
    given = "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode()
    start = b"POST %b HTTP/1.1\r\nHost: 127.0.0.1\r\n%bContent-Length: " % (path.encode(), given)
    return [b"%b%d\r\n\r\n%b" % (start, len(body % {b"n": 0}), body) for body in bodies]


def flat(answer: bytes, *names: str) -> list[float]:
    """The numbers below `names` in a JSON answer, of however many lists around them."""
    found: Any = orjson.loads(answer)
    for name in names:
        found = found[name]
    while isinstance(found[0], list | dict):
        found = found[0]["data"] if isinstance(found[0], dict) else found[0]
    return [float(value) for value in found]


def open_inference_scores(answer: bytes) -> list[float]:
    """The first output of an Open Inference answer."""
    return flat(answer, "outputs")


def binary_scores(answer: bytes) -> list[float]:
    """The one output, behind the JSON."""
    return [float(value) for value in np.frombuffer(answer[-4 * CLASSES :], np.float32)]


def _header(k: int) -> bytes:
    """The JSON in front of a binary tensor: 64 floats are 256 bytes."""
    head = f'{{"id":"r{NUMBER}","inputs":[{{"name":"x","datatype":"FP32","shape":[1,{WIDTH}],'
    tail = f'"parameters":{{"binary_data_size":{4 * WIDTH}}}}}],"parameters":{{"key":"user-{k % 1000:03d}",'
    return (head + tail + '"binary_data_output":true}}').encode()


HEADER_BYTES = len(_header(0) % {b"n": 0})


def _with_key(numbers: str, k: int) -> bytes:
    return _open_inference(numbers, f'"id":"r{NUMBER}",', f',"parameters":{{"key":"user-{k % 1000:03d}"}}')


def _open_inference(numbers: str, before: str = "", after: str = "") -> bytes:
    tensor = f'{{"name":"x","datatype":"FP32","shape":[1,{WIDTH}],"data":[{numbers}]}}'
    return f'{{{before}"inputs":[{tensor}]{after}}}'.encode()
