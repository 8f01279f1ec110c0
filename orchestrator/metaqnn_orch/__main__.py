"""The program's entry point. `python -m metaqnn_orch` also works where the package is not installed: in its image."""

import sys


def main() -> None:
    try:  # the imports take a moment, in which Ctrl-C may come
        from metaqnn_orch.application.signals import raise_when_stopped, unbroken
        from metaqnn_orch.cli.streams import open_closed

        open_closed()
        raise_when_stopped()
        with unbroken():  # pydantic takes an exception that comes while it builds a model for the model's error
            from metaqnn_orch.cli.app import main as run_command

        run_command()
    except KeyboardInterrupt:  # the command has nothing to finish first
        sys.exit(130)


if __name__ == "__main__":
    main()
