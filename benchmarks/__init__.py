"""Measurements of ours beside what people would otherwise use, in one run: `make bench`, `make bench-search`.

Belongs here: what measures, and the peers it measures against. Forbidden here: anything that the project needs to work.
"""
