"""What scripts are promised of an answer: its JSON Schema, from the class that the type checker holds it to, and the
words below the class's fields.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from functools import cache, reduce
from operator import or_
from types import UnionType
from typing import Any, NotRequired, Union, cast, get_args, get_origin, get_type_hints, is_typeddict

from pydantic import BaseModel, Field, TypeAdapter, create_model


def schema_of(kind: Any) -> dict[str, Any]:
    """The JSON Schema of an answer, in which a NamedTuple is an object. Objects may have more fields than are named,
    as a later version may add some.
    """
    return cast(dict[str, Any], _readable(TypeAdapter(_modelled(kind)).json_schema()))


def plain(value: Any) -> Any:
    """An answer as what JSON has: objects for NamedTuples, dataclasses and models, lists for other sequences."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        value = value._asdict()
    elif is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


@cache
def words_of(kind: type) -> Mapping[str, str]:
    """What stands below each field of a class, and of those that it is derived from, in one line; Python keeps it in
    the source alone.
    """
    (node,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(node, ast.ClassDef)
    found: dict[str, str] = {}
    for base in node.bases:  # a TypedDict does not know the classes that it is derived from
        above = getattr(sys.modules[kind.__module__], getattr(base, "id", ""), None)
        found |= words_of(above) if isinstance(above, type) and above.__module__.startswith("metaqnn") else {}
    for field, after in zip(node.body, node.body[1:], strict=False):
        match field, after:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                found[name] = " ".join(text.split())
    return found


def _modelled(kind: Any) -> Any:
    """The same type, with a model in the place of each class of named fields."""
    if isinstance(kind, type) and (
        is_typeddict(kind) or is_dataclass(kind) or issubclass(kind, BaseModel) or hasattr(kind, "_fields")
    ):
        return _model(kind)
    match get_origin(kind), tuple(map(_modelled, get_args(kind))):
        case (origin, parts) if origin in (Union, UnionType):
            return reduce(or_, parts)
        case (origin, parts) if origin in (list, dict, tuple, Mapping):
            return origin[parts]
        case _:
            return kind


@cache
def _model(kind: type) -> type[BaseModel]:
    fields: dict[str, Any] = {}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        is_left_out = get_origin(hint) is NotRequired
        field = Field(None if is_left_out else ..., alias=name, description=words_of(kind).get(name))
        fields[f"field_{name}"] = (_modelled(get_args(hint)[0] if is_left_out else hint), field)
    return create_model(kind.__name__, __doc__=kind.__doc__, **fields)


def _readable(schema: Any) -> Any:
    """The schema without titles, which repeat names, and without defaults: an answer has all its fields."""
    if isinstance(schema, list):
        return [_readable(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: {name: _readable(inner) for name, inner in value.items()}
        if key in ("properties", "$defs")
        else re.sub(r"\bNone\b", "null", " ".join(value.split()))
        if key == "description"
        else _readable(value)
        for key, value in schema.items()
        if key not in ("title", "default")
    }
