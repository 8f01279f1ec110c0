"""Generators of images: AutoGAN's space of cells, trained against a fixed critic, and judged by a classifier."""
