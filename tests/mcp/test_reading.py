"""The tools that read, called as functions."""

from __future__ import annotations

from pathlib import Path

import pytest

from metaqnn_orch.errors import SettingsError
from metaqnn_orch.mcp.reading import Reading
from metaqnn_trainer.store.directory import DirectoryStore
from tests.cli.conftest import put_dataset
from tests.control.world import INFO


def test_what_the_settings_leave_out_follows_from_the_dataset_in_the_store(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path / "store")
    (tmp_path / "pets.yaml").write_text("preset: fashion-mnist\ndataset: {name: pets}\n")
    reading = Reading(lambda: store, folder=tmp_path)
    with pytest.raises(SettingsError, match="dataset pets is not there"):
        reading.config("pets.yaml")
    put_dataset(store, INFO.model_copy(update={"name": "pets", "image_size": 24, "channels": 3, "classes": 2}))
    found = reading.config("pets.yaml")["settings"]
    assert [found[f"space.{leaf}"]["value"] for leaf in ("image_size", "channels", "classes")] == [24, 3, 2]
    assert found["space.classes"]["origin"].startswith("dataset pets-")
    assert reading.space("pets.yaml", "")
