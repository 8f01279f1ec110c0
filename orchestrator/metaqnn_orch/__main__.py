"""The program's entry point. `python -m metaqnn_orch` also works where the package is not installed: in its image."""

import gc
import sys


def main() -> None:
    try:  # the imports take a moment, in which Ctrl-C may come
        # What is imported stays: the garbage collector would look through it again and again, and find nothing.
        gc.disable()
        from metaqnn_orch.application.signals import raise_when_stopped
        from metaqnn_orch.cli.streams import open_closed
        from metaqnn_trainer.signals import unbroken

        open_closed()
        raise_when_stopped()
        with unbroken():  # pydantic takes an exception that comes while it builds a model for the model's error
            from metaqnn_orch.cli.app import main as run_command

        gc.freeze()
        gc.enable()
        run_command()
    except KeyboardInterrupt:  # the command has nothing to finish first
        sys.exit(130)


if __name__ == "__main__":
    main()
