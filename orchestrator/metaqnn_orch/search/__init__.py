"""The search: which design to try next, and what is believed of those that were tried.

Belongs here: the interface of a searcher (searcher.py), the built-in ones (searchers/), and their parts: agent,
Q-table, schedule, replay memory. Every part is pure: the same calls give the same answers.
Forbidden here: disk, network, clock, global randomness, and every package but the standard library and the contract.
"""
