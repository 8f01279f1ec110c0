"""Tasks: what is learned, and what is measured. Each module is a task; base.py defines their interface.

Belongs here: data to batches, designs to modules, losses, measures.
Forbidden here: how a net is trained (metaqnn_trainer.training).
"""
