"""Whether a program is a trainer: it is run against made requests in a store of its own, and what it does is held
against the contract (docs/trainer.md).

Belongs here: the checks, each a function of its own, and what runs the program for them.
Forbidden here: torch, and knowledge of any one trainer.
"""
