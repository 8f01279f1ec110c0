"""What MetaQNN itself brings. Plug-ins that are installed beside it, those of plugins/ among them, are left out."""

from __future__ import annotations

from typing import Any, Final

from metaqnn_orch.search.searcher import SEARCHERS
from metaqnn_orch.settings.presets import presets

PRESETS: Final = [name for name, preset in presets().items() if not preset.identity]
METHODS: Final[dict[str, Any]] = {
    name: plugin.load() for name, plugin in sorted(SEARCHERS.members().items()) if not plugin.distribution
}
"""The searchers by name."""
