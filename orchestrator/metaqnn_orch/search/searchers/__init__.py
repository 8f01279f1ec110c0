"""The built-in searchers: each is a module with the attribute PLUGIN, a subclass of Searcher.

Belongs here: what decides which design is trained next. It is as pure as the whole of search/.
"""
