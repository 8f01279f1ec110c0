"""Errors of the contract: what a caller handed over cannot be understood.

ContractError
├── NotationError     a net's text
│   └── UnknownLayer  it names a kind of layer that is not known here
├── ShapeError        layers that cannot follow each other at these sizes
├── MessageError      a request, a result or a dataset's header
│   └── UnknownField  it has a field, or a word in one, that is not known here
└── PluginError       a plug-in that is not installed, or cannot be loaded
"""


class ContractError(ValueError):
    """A value passed to the contract is malformed. The text says what is wrong and where, in one line."""


class NotationError(ContractError):
    """A net's text breaks the grammar. `column` counts from 1 in the text as given."""

    def __init__(self, message: str, column: int) -> None:
        super().__init__(f"column {column}: {message}")
        self.column = column


class UnknownLayer(NotationError):
    """A net's text names a kind of layer that is not known here: the program that wrote it has another plug-in, or
    another release.
    """


class ShapeError(ContractError):
    """A layer cannot be applied to the representation before it."""


class MessageError(ContractError):
    """Bytes that should be a message are not one."""


class UnknownField(MessageError):
    """A message has a field, or a word in one, that is not known here: a newer release wrote it."""


class PluginError(ContractError):
    """A plug-in is not installed, or cannot be loaded."""
