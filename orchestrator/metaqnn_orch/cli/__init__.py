"""The command line: one command per file, flags in and lines out.

Belongs here: arguments, the environment, what is printed and how; typer and rich.
Forbidden here: deciding anything about a run, and doing what a command does: that is the application's.
"""
