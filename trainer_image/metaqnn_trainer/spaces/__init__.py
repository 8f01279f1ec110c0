"""Spaces: which designs there are, step by step, what each is made of and what it costs.

Belongs here: the interface of a space (base.py) and, a package each, the families that are built in. Both sides of the
contract use them: the orchestrator to search, the trainer to read the design that it is asked to train.
Forbidden here: torch, and any input or output.
"""
