"""Layers as torch modules: a builder for each layer kind, in a module of the same name as the kind's own.

Belongs here: the code that turns one layer into torch modules, and that writes them with torch's own classes for an
exported file. Forbidden here: what a layer is, its costs, and where it may stand; the kind defines that, without torch.
"""
