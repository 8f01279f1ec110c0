"""The trainer: one training request in, one training result out.

Belongs here: every use of a network's weights, and the contract that callers speak.
Forbidden here: the orchestrator, Kubernetes, and any decision about which network to train.
"""

__version__ = "0.1.0"
