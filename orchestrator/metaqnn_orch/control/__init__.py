"""Decisions over time: ask, launch, observe, ingest, tell.

Belongs here: the journal and its fold, the loop, who holds a run, which results are trusted.
Forbidden here: how anything is launched or stored, and the clock: time and sleep are arguments.
"""
