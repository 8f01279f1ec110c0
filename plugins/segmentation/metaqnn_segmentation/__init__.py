"""Segmentation of images and volumes, by nets that a search adapts in nine choices."""
