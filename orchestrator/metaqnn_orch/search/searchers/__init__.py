"""The searchers that are built in, a module each with the attribute PLUGIN: a class that is a Searcher.

Belongs here: what decides which design is trained next. As pure as the whole of search/.
"""
