"""What people and scripts read of a run.

Belongs here: summaries, statistics, tables, figures. Forbidden here: changing anything.
"""
