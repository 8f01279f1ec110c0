"""Images in classes, for training: reading, resizing, normalising, augmenting them, and measuring accuracy.

Belongs here: operations on batches of images. Forbidden here: how a net is trained.
"""
