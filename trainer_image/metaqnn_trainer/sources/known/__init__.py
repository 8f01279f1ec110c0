"""The datasets that are known by name: a module each, whose PLUGIN reads it from a path, or finds it without one.

Belongs here: the name of each dataset, and how its files are read. Forbidden here: how it is used.
"""
