"""Which stores a URI can name, and what is refused before anything is created."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaqnn_trainer.store.directory import DirectoryStore
from metaqnn_trainer.store.errors import AddressError
from metaqnn_trainer.store.opening import open_store
from metaqnn_trainer.store.s3 import S3Store


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("runs", "{here}/runs"),
        ("./runs/", "{here}/runs"),
        ("/data/my runs", "/data/my runs"),
        (".", "{here}"),
        ("~/runs", "{home}/runs"),
        ("file:///data/runs", "/data/runs"),
        ("file://localhost/data/runs", "/data/runs"),
        ("file:///data/my%20runs", "/data/my runs"),
        ("./s3:/odd", "{here}/s3:/odd"),
    ],
)
def test_a_path_is_a_directory(uri: str, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/somebody")
    store = open_store(uri)
    assert isinstance(store, DirectoryStore)
    assert store.uri == path.format(here=tmp_path, home="/home/somebody")
    assert list(tmp_path.iterdir()) == [], "opening creates nothing"


@pytest.mark.parametrize(
    ("uri", "normal"),
    [
        ("s3://bucket", "s3://bucket"),
        ("s3://bucket/", "s3://bucket"),
        ("s3://bucket/runs", "s3://bucket/runs"),
        ("s3://my.bucket-1/a/b-c_d.e/", "s3://my.bucket-1/a/b-c_d.e"),
        ("s3://" + "a" * 63, "s3://" + "a" * 63),
    ],
)
def test_a_bucket(uri: str, normal: str, s3_endpoint: str) -> None:
    store = open_store(uri)
    assert isinstance(store, S3Store)
    assert store.uri == normal


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("", "is not a store"),
        ("a\nb", "is not a store"),
        ("a\0b", "is not a store"),
        ("gs://bucket/x", "is not a store"),
        ("https://s3.amazonaws.com/bucket", "is not a store"),
        ("S3://bucket", "is not a store"),
        ("s3:/bucket", "is not a store"),
        ("s3:bucket", "is not a store"),
        ("file:/data", "is not a store"),
        ("file://host/data", "is not a directory of this machine"),
        ("file://data", "is not a directory of this machine"),
        ("file:///data?x=1", "is not a directory of this machine"),
        ("file:///data%00x", "is not a directory of this machine"),
        ("file://[", "is not a directory of this machine"),
        ("~no-such-user-here/runs", "does not exist here"),
        ("s3://", "is not a bucket's name"),
        ("s3:///prefix", "is not a bucket's name"),
        ("s3://ab", "is not a bucket's name"),
        ("s3://" + "a" * 64, "is not a bucket's name"),
        ("s3://Bucket", "is not a bucket's name"),
        ("s3://-bucket", "is not a bucket's name"),
        ("s3://bucket-", "is not a bucket's name"),
        ("s3://buc..ket", "is not a bucket's name"),
        ("s3://buc_ket", "is not a bucket's name"),
        ("s3://bucket//a", "cannot be used"),
        ("s3://bucket/a//b", "cannot be used"),
        ("s3://bucket/a//", "cannot be used"),
        ("s3://bucket/../a", "cannot be used"),
        ("s3://bucket/a/../b", "cannot be used"),
        ("s3://bucket/.hidden", "cannot be used"),
        ("s3://bucket/A", "cannot be used"),
        ("s3://bucket/a?versionId=1", "cannot be used"),
        ("s3://bucket/a#b", "cannot be used"),
        ("s3://bucket/" + "a/" * 200 + "a", "more than 256 characters"),
        ("s3://key:secret@bucket/a", "more than the name of a bucket"),
        ("s3://secret@bucket", "more than the name of a bucket"),
        ("s3://bucket:9000/a", "more than the name of a bucket"),
        ("minio://key:secret@host/a", "is not a store"),
    ],
)
def test_everything_else_is_refused_in_a_line(uri: str, words: str) -> None:
    with pytest.raises(AddressError) as caught:
        open_store(uri)
    assert words in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500
    assert "secret" not in str(caught.value) + caught.value.hint


@given(st.text() | st.text("s3:/.a~@%é\n").map("s3://".__add__) | st.text().map("file://".__add__))
def test_no_text_makes_it_stumble(uri: str) -> None:
    line = ""
    try:
        assert open_store(uri).uri
    except AddressError as error:
        line = str(error)
    assert line == "" or line.isprintable()
    assert len(line) < 600
