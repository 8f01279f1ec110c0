"""Efficient progressive search (EPNAS, Zhou et al. 2019): a policy that grows deeper nets, and a predictor."""
