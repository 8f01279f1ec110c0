"""Training one design, whatever the task: epochs and steps, checkpoints, memory, and the end.

Belongs here: the course of a training and what it needs of the device. What is learned is the task's to say.
Forbidden here: images, classes, layers, and the store beyond checkpoints.
"""
