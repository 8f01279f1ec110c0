"""The messages between the orchestrator and the trainer, and the arithmetic that both rely on.

Belongs here: layers and their shapes, the notation of a net, messages, object keys, exit codes.
Forbidden here: torch, numpy, and any input or output: importing the contract needs pydantic and nothing else.
"""
