"""The search: which design to try next, and what is believed of those that were tried.

Belongs here: the interface of a searcher (searcher.py), the built-in ones (searchers/), and what they are made of:
agent, Q-table, schedule, replay memory. All of it pure: same calls, same answers.
Forbidden here: disk, network, clock, global randomness, and every package but the standard library and the contract.
"""
