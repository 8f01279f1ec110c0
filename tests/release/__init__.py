"""These tests build what `make release` publishes."""
