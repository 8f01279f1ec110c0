"""Layers as torch modules: a builder for each layer kind, in a module of the same name as the kind's own.

Belongs here: what turns one layer into modules, and how those are written out in torch's own words for an exported
file. Forbidden here: what a layer is, costs or where it may stand; the kind says that, without torch.
"""
