"""Checks whether a program is a trainer: it is run against made-up requests in a store of its own, and compared with
the contract (docs/trainer.md).

Belongs here: the checks, each a function of its own, and what runs the program for them.
Forbidden here: torch, and knowledge of any one trainer.
"""
