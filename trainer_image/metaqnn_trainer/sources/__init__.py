"""Where images come from: known sets and folders of one's own, to be made into one dataset object.

Belongs here: foreign formats, the split, the statistics.
Forbidden here: training, and anything of torch beyond what torchvision needs to read its sets.
"""
