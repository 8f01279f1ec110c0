"""Datasets that are known by name: a module each, whose PLUGIN reads it from a path, or finds it without one.

Belongs here: what one set is called and how its files are read. Forbidden here: what is made of it.
"""
