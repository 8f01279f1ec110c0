"""The settings of a run: what there is to set, where it is set, and what is wrong with it.

Belongs here: the shapes, their values, the layers that they come from, presets.
Forbidden here: doing anything with them.
"""
