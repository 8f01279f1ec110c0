"""Reports about runs, for people and scripts.

Belongs here: summaries, statistics, tables, figures, and the trackers that the settings ask for.
Forbidden here: changing anything in the store, and decisions about a run.
"""
