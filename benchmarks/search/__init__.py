"""`make bench-search`: does it search? Our searchers and Optuna's on tables of trained nets, with many seeds.

Belongs here: landscapes (a space, a noisy reward and a true value for each design), the driver that spends a budget on
one as a run does, and what makes pages of the results.
"""
