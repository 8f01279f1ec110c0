"""What people and scripts read of a run.

Belongs here: summaries, statistics, tables, figures, and the trackers that somebody asked for.
Forbidden here: changing anything in the store, and deciding anything about a run.
"""
