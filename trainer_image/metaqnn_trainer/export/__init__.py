"""Trained nets as files that need nothing of this project.

Belongs here: one module for each format, the model card, and the proof that a file computes the same as the trainer.
Forbidden here: training.
"""
