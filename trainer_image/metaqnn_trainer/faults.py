"""Words for what is wrong with a plug-in: its kind, its name, its distribution, and the cause in one line.

Whoever reads them wrote or installed the plug-in, and has to know which one, and what of it.
"""

from __future__ import annotations

import re
from typing import Final

from pydantic import ValidationError

from metaqnn_trainer.contract.codec import first_error
from metaqnn_trainer.contract.text import one_line
from metaqnn_trainer.plugins import Group

_ADDRESS: Final = re.compile(r"\(?(for further information[^.]{0,40})?https?://\S+", re.I)


def named(group: Group, name: str) -> str:
    """A plug-in in words, with its distribution where it is an installed one."""
    found = group.members().get(name)
    return str(found) if found is not None else f"{group.entry_points.rpartition('.')[2]} plug-in {name!r}"


def cause(error: BaseException) -> str:
    """What was raised, in one line without a library's address."""
    if isinstance(error, ValidationError):
        return one_line(f"{error.title}: {first_error(error)}")
    text = one_line(_ADDRESS.sub("", str(error)))
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
