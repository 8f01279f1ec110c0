"""The family `cnn`: nets of layers that stand in a row, as the paper writes them.

Belongs here: the layer kinds (a module each below layers/, and those that installed distributions add), the text of a
net, the rules that a space is made of, legal moves and where they lead. Forbidden here: torch.
"""

from metaqnn_trainer.spaces.cnn.space import Cnn

PLUGIN = Cnn
