"""The server for assistants (docs/mcp.md): tools of the Model Context Protocol, which answer as the commands do with
`-o json`. Here belongs what an assistant may ask and do, and how that is bounded. What the answers are made of belongs
in application and reporting. Only `server` knows the protocol's SDK.
"""
