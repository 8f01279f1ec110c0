"""Presets, found by their entry point."""
