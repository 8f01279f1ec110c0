"""Bytes by key: the only place where orchestrator and trainer meet, spoken by both through this package.

Belongs here: a protocol of six verbs, one file per kind of store, how a store is opened, and what its errors mean.
Forbidden here: any knowledge of what the bytes mean; torch, numpy, and boto3 for whoever keeps results in a directory.
"""
