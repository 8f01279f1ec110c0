"""Of `make release`: what is published."""
