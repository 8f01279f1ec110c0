"""What the orchestrator and the trainer say to each other, and the arithmetic that both rely on.

Belongs here: layers and their shapes, the notation of a net, messages, object keys, exit codes.
Forbidden here: torch, numpy, and any input or output: whoever imports the contract pays for pydantic and nothing else.
"""
