"""Spiking networks of the cnn space, and a score of networks before training."""
