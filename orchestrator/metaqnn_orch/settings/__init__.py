"""The settings of a run: what there is to set, where it is set, and what is wrong with it.

Belongs here: the shapes (model.py), their values, the sources that they come from, presets.
Forbidden here: doing anything with them, and every other room but the search, whose rules they hold.
"""
