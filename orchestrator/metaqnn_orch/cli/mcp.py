"""metaqnn-orch mcp: a server for assistants."""

from __future__ import annotations

from metaqnn_orch.application.release import Release
from metaqnn_orch.cli import options
from metaqnn_orch.cli.stores import open_store
from metaqnn_orch.errors import BadInput


def mcp(store: options.Store, release: Release | None = None) -> None:
    """Serve assistants: the tools of the Model Context Protocol, on standard input and output.

    An assistant's client starts this command itself, and ends it; docs/mcp.md says how to register it. By default it
    may only read: runs, trials, reports, settings and designs of one store.

    Needs pip install 'metaqnn-orch[mcp]'.
    """
    try:
        from metaqnn_orch.mcp.server import serve  # the SDK takes a second to import
    except ModuleNotFoundError as error:
        raise BadInput(f"the server needs {error.name}", hint="pip install 'metaqnn-orch[mcp]'") from None
    from metaqnn_orch.mcp.reading import Reading

    serve(Reading(lambda: open_store(store), release).tools())
