"""Spaces: the possible designs, the choices that lead to them, their parts and their costs.

Belongs here: the interface of a space (base.py) and, a package each, the built-in families. Both sides of the contract
use them: the orchestrator to search, the trainer to read the design that it is asked to train.
Forbidden here: torch, and any input or output.
"""
