"""`python -m metaqnn_orch`, where the program itself is not installed: in the orchestrator's image."""

from metaqnn_orch.cli.app import main

main()
