"""Tables of numbers: nets that are rewired and pruned while they are trained (dCGPANN, Märtens and Izzo 2019)."""
