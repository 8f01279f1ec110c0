"""The benchmarks run, at a size that says nothing about speed."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from random import Random

import numpy as np
import pytest

from benchmarks import card_share, cluster, early_end, speed, start_up, trained
from metaqnn_orch.application import datasets
from metaqnn_trainer.store.directory import DirectoryStore


def test_what_a_search_costs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    speed.main(["--nets", "10", "--far", "20", "--repeats", "2", "--runs", "1", "--steps", "2", "--to", "found"])
    found = json.loads((tmp_path / "found" / "speed.json").read_text())
    assert found["resume"]["equal"] is True
    assert [run["store"] for run in found["runs"]] == ["directory", "s3"]
    assert all(step["milliseconds"]["median"] > 0 for step in found["steps"].values())
    assert [path.name for path in tmp_path.iterdir()] == ["found"]


def test_many_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    cluster.main(["--in-flight", "3", "--trials", "9", "--seconds", "0.1", "--repeats", "1", "--to", "found"])
    found = json.loads((tmp_path / "found" / "cluster-double.json").read_text())
    assert found["requests_per_trial"] >= 1
    assert found["creates_per_second"].keys() == {"bare_1", "bare_4", "ours", "ours_whole"}
    assert found["next_job_ms"]["p95"] > 0
    assert [path.name for path in tmp_path.iterdir()] == ["found"]


def test_a_cards_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    times = ["--pod", "0.1", "--imports", "0.1", "--data", "0.1", "--end", "0.1", "--at-least", "1"]
    card_share.main(["--seconds", "0.1", "--together", "2", "--cards", "2", *times, "--to", "found"])
    found = json.loads((tmp_path / "found" / "cluster.json").read_text())
    assert [cell["together"] for cell in found["cells"]] == [2]
    assert all(0 < cell["share"] < 1 and cell["gap"] > 0 for cell in found["cells"])
    assert "| 0.1 s |" in (tmp_path / "found" / "cluster.md").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["found"]


def test_what_a_process_costs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(start_up, "CONTENDERS", {start_up.OURS: start_up.CONTENDERS[start_up.OURS]})
    start_up.main(["--repeats", "1", "--images", "100", "--to", "found"])
    found = json.loads((tmp_path / "found" / "start-up.json").read_text())["contenders"]
    assert found[start_up.OURS]["seconds"]["measured"]["median"] > 0
    assert found[start_up.OURS]["processor_seconds"]["ratio"]["median"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["found"]


def test_searches_with_real_training(tmp_path: Path) -> None:
    """Cut off after the first, it goes on."""
    small = {"recipe.epochs": 1, "space.max_layers": 2}
    begun = trained.search(str(tmp_path / "kept" / "digits"), "random", 0, 14, small)
    settings = (word for key, value in small.items() for word in ("--set", f"{key}={value}"))
    both = ["--only", "random", "--only", "guided, confirmed"]
    where = ["--kept", str(tmp_path / "kept"), "--to", str(tmp_path)]
    trained.main(["--nets", "14", "--seeds", "1", *settings, *both, *where])
    found = json.loads((tmp_path / "trained-digits.json").read_text())
    assert found["found"][0] == {**begun._asdict(), "seconds": found["found"][0]["seconds"]}
    assert found["found"][1]["contestant"] == "guided, confirmed"
    assert found["found"][1]["designs"] == 4
    assert found["judged"].keys() == {one["net"] for one in found["found"]}
    assert all(0 <= accuracy <= 1 for accuracy in found["judged"].values())


def test_part_of_fashion_mnist(tmp_path: Path, store: DirectoryStore) -> None:
    for part, count in (("train", 100), ("t10k", 20)):
        labels = (np.arange(count) % 10).astype(np.uint8)
        for name, array in (("images-idx3", np.repeat(labels, 28 * 28)), ("labels-idx1", labels)):
            shape = (count, 28, 28) if name == "images-idx3" else (count,)
            header = (0x0800 + int(name[-1])).to_bytes(4, "big") + np.array(shape, ">u4").tobytes()
            (tmp_path / f"{part}-{name}-ubyte.gz").write_bytes(gzip.compress(header + array.tobytes()))
    trained.push_part(tmp_path, store)
    found = datasets.find(store, "fashion-mnist")
    assert found is not None
    splits = datasets.info(store, found)
    assert (splits.train, splits.validation, splits.test) == (80, 20, 20)


def test_what_an_early_end_saves(tmp_path: Path) -> None:
    trained = early_end.train_one("[C(16,3,1), P(2,2), FC(32), SM(10)]", 4)
    assert len(trained.curve) == len(trained.seconds) == 4
    never = early_end.train_one("[GAP(10), SM(10)]", 4)
    assert (never.curve, len(never.seconds)) == ([], 5), "five rates"
    rng = Random(0)
    steady = [trained._replace(curve=[share * rng.random() for share in (0.5, 0.6, 0.7, 0.8)]) for _ in range(79)]
    best = trained._replace(curve=[0.5, 0.7, 0.8, 0.9])
    nets = [net._asdict() for net in (*steady, best, never)]
    content = {"machine": {}, "options": {"epochs": 4}}
    (tmp_path / "earlier.json").write_text(json.dumps({**content, "nets": nets}))
    where = ("--curves", str(tmp_path / "earlier.json"), "--to", str(tmp_path))
    early_end.main(["--orders", "2", "--searches", "2", "--worth", "30", *where])
    written = json.loads((tmp_path / "early-end.json").read_text())
    found, equal = written["found"], written["equal epochs"]
    assert [of["under rule"]["median"] for of in found.values()] == [20, 20, 20, 65]
    for of in found.values():
        assert 0 < of["epochs saved"]["median"] < 1
        assert of["wrongly"] <= min(of["all stopped"], of["all better"])
    assert found["prediction, 0.9"]["all stopped"] >= found["prediction, 0.99"]["all stopped"]
    assert 30 <= equal["no rule"]["begun"]["median"] < equal["quarter"]["begun"]["median"]
    assert equal["no rule"]["lost"] == equal["no rule"]["gain"]["mean"] == 0
    for of in equal.values():
        assert of["gain"]["low"] <= of["gain"]["mean"] <= of["gain"]["high"]
    (tmp_path / "earlier.json").write_text(json.dumps({**content, "nets": nets[:60]}))
    with pytest.raises(SystemExit):
        early_end.main([*where])
