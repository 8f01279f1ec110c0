"""The command line: one command per file; flags come in, and lines go out.

Belongs here: arguments, the environment, what is printed and how; typer and rich.
Forbidden here: decisions about a run, and the work of a command: both belong to the application.
"""
