"""The authors' replay database, and other tables of nets with their accuracies.

Belongs here: reading such files, and estimating the nets that they do not have.
Forbidden here: runs, stores, and what is done with the answers.
"""
