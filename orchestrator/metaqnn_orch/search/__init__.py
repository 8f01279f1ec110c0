"""The search: which nets there are, what is believed of them, which one to try next.

Belongs here: state space, Q-table, agent, schedule, replay memory. All of it pure: same calls, same answers.
Forbidden here: disk, network, clock, global randomness, and every package but the standard library and the contract.
"""
