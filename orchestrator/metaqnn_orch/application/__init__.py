"""What a command, or the front door for Python, does: open a run, search, train its best nets again, make a dataset.

Belongs here: what puts the other packages together, and the calls of the trainer on this machine. A listener is told
of the progress (listener.py). Forbidden here: arguments of a command line, printing, and terminals.
"""
