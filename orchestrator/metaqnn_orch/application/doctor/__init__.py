"""The diagnosis of a place to search in: what was looked at, what was found, what to do about it."""
