"""The family `cnn`: nets that are sequences of layers, in the paper's notation.

Belongs here: the layer kinds (a module each below layers/, and those of installed distributions), the notation of a
net, the rules of a space, legal moves and the states to which they lead. Forbidden here: torch.
"""

from metaqnn_trainer.spaces.cnn.space import Cnn

PLUGIN = Cnn
