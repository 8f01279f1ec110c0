"""The launchers: where training runs.

Belongs here: the launchers' protocol, and one file per place where a trial can run.
Forbidden here: deciding what runs next, knowing what a net is, and reading results: a launcher starts, watches, stops.
"""
