"""Handles standard streams that are closed, full, or read by nobody: the program still ends quietly, with the right
code.

Only the standard library is needed here, because this is the first thing that the program does.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, Final, TextIO

_STREAMS: Final = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))  # by their file descriptors


def open_closed() -> None:
    """Open the null device wherever a standard stream is closed. Otherwise the next file that is opened would get the
    stream's descriptor, and with it everything that is written to the stream.
    """
    for descriptor, (name, mode) in enumerate(_STREAMS):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # it gets the lowest free descriptor: this one
            setattr(sys, name, os.fdopen(descriptor, mode, closefd=False))


class Guarded:
    """A text stream that may be lost. `lost` is called with the error, once; after that, everything written is
    dropped.
    """

    def __init__(self, stream: TextIO, lost: Callable[[OSError], None]) -> None:
        self._stream = stream
        self._lost = lost

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            self._lose(error)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._lose(error)

    def _lose(self, error: OSError) -> None:
        # The process would try to write the rest of the buffer again when it ends.
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self._stream.fileno())
        os.close(null)
        self._lost(error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
