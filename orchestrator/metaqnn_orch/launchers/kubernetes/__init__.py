"""The Kubernetes launcher: each attempt of a trial is a batch/v1 Job.

Belongs here: what a Job of a trial looks like, what its state means, and the conversation with the API.
Forbidden here: the `kubernetes` package anywhere but in cluster.py, and reading results: a Job says only how it ended.
"""
