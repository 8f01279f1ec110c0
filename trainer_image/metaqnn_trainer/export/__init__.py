"""Trained nets as files that need nothing of this project.

Belongs here: one file for each format, the model card, and the proof that a file does what the trainer's net does.
Forbidden here: training.
"""
