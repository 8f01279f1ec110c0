"""The trainer of docs/trainer.md, as it stands there: the honest one, from which the others here are made."""

from __future__ import annotations

import re
import sys
from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs" / "trainer.md"


def blocks() -> dict[str, str]:
    """The page's programs, by the file name in their first lines."""
    found = re.findall(r"```python\n# (\w+\.py)\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return {name: f"# {name}\n{text}" for name, text in found}


def write_example(folder: Path, *changes: tuple[str, str], python: str = sys.executable) -> list[str]:
    """The command that runs it, with these pieces of its text replaced; each stands in it once."""
    for name, text in blocks().items():
        if name == "my_trainer.py":
            for old, new in changes:
                assert text.count(old) == 1, old
                text = text.replace(old, new)
        (folder / name).write_text(text)
    return [python, str(folder / "my_trainer.py")]
