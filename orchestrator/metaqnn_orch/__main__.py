"""The entry point of `python -m metaqnn_orch`, which the orchestrator's image uses: the package is not installed
there.
"""

import sys


def main() -> None:
    try:  # the imports take a moment, in which somebody may press Ctrl-C
        from metaqnn_orch.application.signals import raise_when_stopped, unbroken
        from metaqnn_orch.cli.streams import open_closed

        open_closed()
        raise_when_stopped()
        with unbroken():  # where it builds its models, pydantic takes whatever is raised for a fault of theirs
            from metaqnn_orch.cli.app import main as run_command

        run_command()
    except KeyboardInterrupt:  # of a command that has nothing to bring to an end
        sys.exit(130)


if __name__ == "__main__":
    main()
