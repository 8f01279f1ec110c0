"""Bytes by key: the only place where orchestrator and trainer meet.

Belongs here: a protocol of five verbs and one file per kind of store.
Forbidden here: any knowledge of what the bytes mean.
"""
