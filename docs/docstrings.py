"""What stands below the fields of classes: Python keeps it in the source alone."""

from __future__ import annotations

import ast
import inspect
from types import ModuleType


def docstrings(*modules: ModuleType) -> dict[str, dict[str, str]]:
    """What stands below each field of each class, in one line."""
    found: dict[str, dict[str, str]] = {}
    for module in modules:
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(node, ast.ClassDef):
                fields = found.setdefault(node.name, {})
                for field, after in zip(node.body, [*node.body[1:], ast.Pass()], strict=True):
                    if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                        text = after.value.value if _is_text(after) else ""  # type: ignore[attr-defined]
                        fields[field.target.id] = " ".join(text.split()).replace("|", "\\|")
    return found


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
