"""Training one design, whatever the task: epochs and steps, checkpoints, memory, and the end.

Belongs here: the course of a training, and its use of the device. The task defines what is learned.
Forbidden here: images, classes, layers, and the store beyond checkpoints and the epochs so far.
"""
