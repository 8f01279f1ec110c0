"""The diagnosis of a place to search in: what was examined, what was found, what to do about it."""
