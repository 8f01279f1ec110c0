"""Hyperparameters as moves before the layers, so that one search chooses both (Hyp-RL, Jomaa et al. 2019)."""
