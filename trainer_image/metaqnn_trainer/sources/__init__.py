"""Sources of images: known datasets, and folders of a user's own images, which become one dataset object.

Belongs here: foreign formats, the split, the statistics.
Forbidden here: training, and anything of torch beyond what torchvision needs to read its datasets.
"""
