"""The settings of a run: which settings there are, where their values come from, and what is wrong with them.

Belongs here: the models (model.py), their values, the sources that they come from, presets.
Forbidden here: using the settings, and every other package but the search, whose rules they hold.
"""
