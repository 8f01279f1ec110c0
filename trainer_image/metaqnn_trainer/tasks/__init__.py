"""Tasks: what is learned, and what is measured. Each module is a task; base.py says what one has to be.

Belongs here: data to batches, designs to modules, losses, measures.
Forbidden here: how training goes about it (metaqnn_trainer.training).
"""
