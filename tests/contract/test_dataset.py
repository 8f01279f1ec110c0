from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaqnn_trainer.contract import keys
from metaqnn_trainer.contract.dataset import HEADER_BYTES, DatasetInfo, object_digest, read_info, ref_of_key
from metaqnn_trainer.contract.errors import MessageError
from metaqnn_trainer.contract.messages import DatasetRef
from tests.contract.test_keys import NAMES

INFO = DatasetInfo(
    name="digits",
    channels=1,
    image_size=8,
    classes=2,
    class_names=["zero", "one"],
    train=100,
    validation=10,
    test=0,
    source="by hand",
)


def headed(header: Any) -> bytes:
    """A safetensors file that is all header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text


WHOLE = headed({"__metadata__": {"info": INFO.model_dump_json()}, "mean": {"dtype": "F32"}})


def test_info_from_the_head_of_an_object() -> None:
    assert read_info(WHOLE, "x") == INFO
    assert read_info(WHOLE + b"pixels", "x") == INFO


def test_a_real_safetensors_file() -> None:
    numpy = pytest.importorskip("numpy")
    safetensors = pytest.importorskip("safetensors.numpy")
    data = safetensors.save({"mean": numpy.zeros(3)}, metadata={"info": INFO.model_dump_json()})
    assert read_info(data[:200_000], "x") == INFO


@pytest.mark.parametrize("length", range(0, len(WHOLE), 7))
def test_a_truncated_head(length: int) -> None:
    with pytest.raises(MessageError, match=r"^digits is not a dataset object: no safetensors header$"):
        read_info(WHOLE[:length], "digits")


def with_info(**changes: Any) -> bytes:
    return headed({"__metadata__": {"info": json.dumps(INFO.model_dump() | changes)}})


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"\xff" * 100, "no safetensors header"),
        ((1 << 63).to_bytes(8, "little") + b"{}", "no safetensors header"),
        ((HEADER_BYTES + 1).to_bytes(8, "little") + b" " * (HEADER_BYTES + 1), "no safetensors header"),
        (b"\x1f\x8b\x08" + b"\0" * 100, "no safetensors header"),
        (headed(b""), "no safetensors header"),
        (headed(b"{}"), "its header has no info"),
        (headed(b"[]"), "its header has no info"),
        (headed(b"[" * 100_000), "its header has no info"),
        (headed(b"1" * 10_000), "its header has no info"),
        (headed(b"\xff\xfe{}"), "its header has no info"),
        (headed({"__metadata__": None}), "its header has no info"),
        (headed({"__metadata__": {"info": None}}), "not valid"),
        (headed({"__metadata__": {"info": {"name": "digits"}}}), "not valid"),
        (headed({"__metadata__": {"info": "\ud800"}}), "not valid"),
        (headed({"__metadata__": {"info": "[" * 100_000}}), "not valid"),
        (with_info(name="../digits"), "not valid: name"),
        (with_info(channels=0), "not valid: channels"),
        (with_info(image_size=True), "not valid: image_size"),
        (with_info(classes=1), "not valid: classes"),
        (with_info(train="100"), "not valid: train"),
        (with_info(validation=0), "not valid: validation"),
        (with_info(test=-1), "not valid: test"),
        (with_info(source="x" * 501), "not valid: source"),
        (with_info(pickle="x"), "not valid: pickle"),
    ],
)
def test_a_forged_header(head: bytes, words: str) -> None:
    with pytest.raises(MessageError, match=words) as caught:
        read_info(head, "digits")
    assert str(caught.value).startswith("digits is not ")
    assert str(caught.value).isprintable()


@given(st.binary(max_size=200) | st.binary(max_size=200).map(headed))
def test_garbage_is_never_a_dataset(head: bytes) -> None:
    with pytest.raises(MessageError):
        read_info(head, "x")


@given(NAMES, st.text("0123456789abcdef", min_size=16, max_size=16))
def test_a_key_and_its_reference(name: str, digest: str) -> None:
    assert ref_of_key(keys.dataset(name, digest)) == DatasetRef(name=name, digest=digest)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "datasets/",
        "datasets/digits.safetensors",
        "datasets/digits-0123456789abcdef",
        "datasets/digits-0123456789ABCDEF.safetensors",
        "datasets/digits-0123456789abcde.safetensors",
        "datasets/digits-0123456789abcdef.safetensors\n",
        "datasets/-digits-0123456789abcdef.safetensors",
        "datasets/digits--0123456789abcdef.safetensors",
        f"datasets/{'d' * 41}-0123456789abcdef.safetensors",
        "datasets/a/b-0123456789abcdef.safetensors",
        "x/datasets/digits-0123456789abcdef.safetensors",
        "datasets/-0123456789abcdef.safetensors",
    ],
)
def test_other_keys_name_no_dataset(key: str) -> None:
    assert ref_of_key(key) is None


def test_an_objects_digest_begins_its_sha256() -> None:
    assert object_digest(b"pixels") == hashlib.sha256(b"pixels").hexdigest()[:16]


def test_a_table_of_numbers_has_no_images() -> None:
    table = DatasetInfo(
        name="t", train=3, validation=1, test=0, source="x", facts={"target": "price", "columns": 7, "mean": 0.5}
    )
    assert read_info(headed({"__metadata__": {"info": table.text()}}), "x") == table
    assert "image" not in table.text()
    with pytest.raises(MessageError, match="the dataset t has no images with classes"):
        table.images()


def test_what_a_header_says_is_what_it_said_before_there_were_other_tasks() -> None:
    assert INFO.text() == (
        '{"name":"digits","channels":1,"image_size":8,"classes":2,"class_names":["zero","one"],"train":100,'
        '"validation":10,"test":0,"source":"by hand"}'
    )


@pytest.mark.parametrize(
    "facts", [{"x": None}, {"x": [1]}, {"x": 10**400}, {"x": "y" * 1001}, {f"{number}": 1 for number in range(51)}]
)
def test_facts_have_bounds(facts: dict[str, Any]) -> None:
    with pytest.raises(MessageError, match="not valid: facts"):
        read_info(with_info(facts=facts), "x")
