"""Fresh virtual environments with distributions of their own, for tests of what is installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.forked import forking

UV: Final = Path(sys.executable).with_name("uv")


class Environment:
    """A virtual environment that sees this one's packages and has distributions of its own."""

    def __init__(self, folder: Path) -> None:
        self.interpreter = folder / "bin" / "python"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        (packages,) = folder.glob("lib/python*/site-packages")
        (packages / "ours.pth").write_text("\n".join(path for path in sys.path if Path(path).is_dir()))
        self._folder = folder
        self._changes = 0
        self._python = forking(folder, str(self.interpreter))

    def _changed(self) -> None:
        """Fork from a process that knows what is installed now."""
        Path(self._python).unlink()
        self._changes += 1
        (folder := self._folder / str(self._changes)).mkdir()
        self._python = forking(folder, str(self.interpreter))

    def install(self, distribution: Path) -> None:
        install = f"{UV} pip install --quiet --offline --no-deps --no-build-isolation --python {self.interpreter}"
        subprocess.run([*install.split(), str(distribution)], check=True)
        self._changed()

    def remove(self, distribution: str) -> None:
        remove = f"{UV} pip uninstall --quiet --offline --python {self.interpreter}"
        subprocess.run([*remove.split(), distribution], check=True)
        self._changed()

    def command(self, *arguments: str) -> list[str]:
        """That starts `metaqnn-orch` in it."""
        return [self._python, "-m", "metaqnn_orch", *arguments]

    def python(self, program: str, *arguments: str, folder: Path) -> str:
        """What a program of Python prints."""
        command = [self._python, "-c", program, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def run(self, *arguments: str, folder: Path) -> str:
        """What `metaqnn-orch` says on standard output."""
        done = self.call(*arguments, folder=folder)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def fails(self, *arguments: str, folder: Path) -> str:
        """What it says on standard error, where it refuses."""
        done = self.call(*arguments, folder=folder)
        assert done.returncode == 2, done.stderr
        return done.stderr

    def call(self, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
        command = self.command(*arguments)
        return subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
