"""Stores: bytes by key. Orchestrator and trainer meet only in a store, and both use this package.

Belongs here: a protocol of six methods, one file per kind of store, how a store is opened, and what its errors mean.
Forbidden here: any knowledge of what the bytes mean; torch, numpy, and boto3 where results are kept in a directory.
"""
