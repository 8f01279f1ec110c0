"""Images in classes, as training sees them: read, resized, normalised, augmented, and classified rightly or not.

Belongs here: operations on batches of images. Forbidden here: how a net is trained.
"""
