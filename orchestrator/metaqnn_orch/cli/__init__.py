"""The command line: one command per file, bodies thin.

Belongs here: arguments, the environment, what is printed and how. Forbidden here: decisions about a run.
"""
