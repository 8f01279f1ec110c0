"""Each attempt of a trial as a batch/v1 Job.

Belongs here: what a Job of ours looks like, what its state means, and the conversation with the API.
Forbidden here: the `kubernetes` package anywhere but in cluster.py, and reading results: a Job says only how it ended.
"""
