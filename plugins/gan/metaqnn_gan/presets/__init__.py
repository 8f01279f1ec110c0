"""Settings files of this plug-in."""
