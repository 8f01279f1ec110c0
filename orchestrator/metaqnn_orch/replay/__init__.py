"""The authors' replay database, and other tables of nets with their accuracies.

Belongs here: reading such files, and estimating nets that they do not contain.
Forbidden here: runs, stores, and the use of the answers.
"""
