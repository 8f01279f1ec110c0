"""What a command, or the front door for Python, does: open a run, search, train its best nets again, make a dataset.

Belongs here: what puts the other rooms together, and the calls of the trainer on this machine. What goes on meanwhile a
listener is told (listener.py). Forbidden here: arguments of a command line, printing, and terminals.
"""
