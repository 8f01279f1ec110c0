"""How the client is made: what AWS has variables for, what its configuration files say, and what is ours."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from metaqnn_trainer.store.errors import AddressError, StoreError
from metaqnn_trainer.store.opening import open_store
from metaqnn_trainer.store.s3_client import ClientOptions, default_client, keeps_checksums


def test_other_endpoints_get_what_they_understand(s3_endpoint: str) -> None:
    client = default_client()
    assert client.meta.endpoint_url == s3_endpoint
    config = vars(client.meta.config)
    assert config["s3"]["addressing_style"] == "path"
    assert config["request_checksum_calculation"] == config["response_checksum_validation"] == "when_required"
    assert config["retries"]["total_max_attempts"] == 5
    client.close()


@pytest.mark.parametrize(
    ("region", "host"), [("", "s3.amazonaws.com"), ("eu-central-1", "s3.eu-central-1.amazonaws.com")]
)
def test_aws_itself_keeps_its_defaults(
    s3_endpoint: str, monkeypatch: pytest.MonkeyPatch, region: str, host: str
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3")
    if region:
        monkeypatch.setenv("AWS_DEFAULT_REGION", region)
    client = default_client()
    assert client.meta.endpoint_url == f"https://{host}"
    config = vars(client.meta.config)
    assert config["request_checksum_calculation"] == "when_supported"
    assert (config["s3"] or {}).get("addressing_style") != "path"
    client.close()


@pytest.mark.parametrize("elsewhere", [True, False])
def test_what_the_environment_says_counts_everywhere(
    s3_endpoint: str, monkeypatch: pytest.MonkeyPatch, elsewhere: bool
) -> None:
    if not elsewhere:
        monkeypatch.delenv("AWS_ENDPOINT_URL_S3")
    monkeypatch.setenv("AWS_REGION", "lab-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "other-1")
    monkeypatch.setenv("METAQNN_S3_ADDRESSING_STYLE", "virtual")
    calculation, validation = ("when_supported", "when_required") if elsewhere else ("when_required", "when_supported")
    monkeypatch.setenv("AWS_REQUEST_CHECKSUM_CALCULATION", calculation)
    monkeypatch.setenv("AWS_RESPONSE_CHECKSUM_VALIDATION", validation)
    client = default_client()
    config = vars(client.meta.config)
    assert client.meta.region_name == "lab-1"
    assert config["s3"]["addressing_style"] == "virtual"
    assert config["request_checksum_calculation"] == calculation
    assert config["response_checksum_validation"] == validation
    assert keeps_checksums(client) is elsewhere
    client.close()


def test_a_style_that_is_none_is_bad_input(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METAQNN_S3_ADDRESSING_STYLE", "dns")
    with pytest.raises(AddressError, match="METAQNN_S3_ADDRESSING_STYLE is 'dns': it can be auto, path, virtual"):
        open_store("s3://bucket/runs")


def test_what_is_left_open_is_settled_for_pods() -> None:
    assert ClientOptions().resolved() == ClientOptions("", "", "auto", "when_supported")
    assert ClientOptions("https://s3.eu-west-1.amazonaws.com").resolved().checksums == "when_supported"
    assert ClientOptions("http://store:9000").resolved() == ClientOptions(
        "http://store:9000", "", "path", "when_required"
    )
    given = ClientOptions("http://store:9000", "lab-1", "virtual", "when_supported")
    assert given.resolved() == given


def test_the_configuration_file_is_obeyed(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3")
    (tmp_path / "config").write_text(
        "[profile lab]\nregion = lab-1\nendpoint_url = https://s3.lab.example:9000\n"
        "s3 =\n  addressing_style = virtual\nrequest_checksum_calculation = when_supported\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "lab")
    client = default_client()
    assert client.meta.endpoint_url == "https://s3.lab.example:9000"
    assert client.meta.region_name == "lab-1"
    config = vars(client.meta.config)
    assert config["s3"]["addressing_style"] == "virtual"
    assert config["request_checksum_calculation"] == "when_supported"
    assert config["response_checksum_validation"] == "when_required"
    client.close()
    monkeypatch.setenv("METAQNN_S3_ADDRESSING_STYLE", "path")
    client = default_client()
    assert vars(client.meta.config)["s3"]["addressing_style"] == "path"
    client.close()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("AWS_PROFILE", "nobody", "nobody"),
        ("AWS_ENDPOINT_URL_S3", "not a url", "not a url"),
        ("AWS_ENDPOINT_URL_S3", "http://user:secret@", "Invalid endpoint"),
    ],
)
def test_a_configuration_that_cannot_be_used(
    s3_endpoint: str, monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(StoreError, match=words) as caught:
        open_store("s3://bucket/runs")
    assert caught.value.hint
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("endpoint", ["http://user:secret@host:port", "http://user:secret@127.0.0.1:1", "ftp://host"])
def test_an_endpoint_that_cannot_be_used(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)
    with pytest.raises(StoreError) as caught:
        open_store("s3://bucket/runs").put("a", b"")
    assert "AWS_ENDPOINT_URL_S3" in caught.value.hint
    assert "secret" not in str(caught.value)


def test_boto3_is_not_imported_for_a_directory(tmp_path: Path) -> None:
    code = "import sys, metaqnn_trainer.store.opening as it; it.open_store('.'); print('boto3' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], cwd=tmp_path) == b"False\n"
