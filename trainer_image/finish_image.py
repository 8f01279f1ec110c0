"""The last step of an image, run by the Python of its base: compile what the base has not, open /tmp, take away
pip and shells.

    python3 finish_image.py MODULE…

Nothing but the standard library, because a base may have no more. It runs without a shell, since a base may have none.
"""

from __future__ import annotations

import importlib
import os
import shutil
import site
import sys
import sysconfig
from pathlib import Path
from typing import Final

SHELLS: Final = (
    *("sh", "bash", "rbash", "dash", "ash", "ksh", "ksh93", "rksh", "mksh", "lksh", "zsh", "rzsh"),
    *("fish", "csh", "tcsh", "busybox", "toybox"),
)
PROGRAM_FOLDERS: Final = ("/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin")
INSTALLERS: Final = ("pip", "pip-*.dist-info", "pip-*.egg-info", "ensurepip")
"""What installs packages, as patterns of entries in a folder of modules."""


def program_folders() -> list[Path]:
    named = [*PROGRAM_FOLDERS, *os.get_exec_path(), sysconfig.get_path("scripts")]
    return [folder for folder in map(Path, dict.fromkeys(named)) if folder.is_dir()]


def module_folders() -> list[Path]:
    named = [*sys.path, *site.getsitepackages(), sysconfig.get_path("stdlib"), "/usr/lib/python3/dist-packages"]
    return [folder for folder in map(Path, dict.fromkeys(named)) if folder.is_dir()]


def superfluous(programs: list[Path], modules: list[Path]) -> list[Path]:
    """The files and folders of pip and of shells in these folders."""
    found = [folder / name for folder in programs for name in SHELLS]
    found += [path for folder in programs for path in folder.glob("pip*") if path.name.rstrip("0123456789.") == "pip"]
    found += [path for folder in modules for name in INSTALLERS for path in folder.glob(name)]
    return [path for path in found if path.exists() or path.is_symlink()]


def remove(paths: list[Path]) -> None:
    """Paths may name a thing twice: /bin may be another name of /usr/bin."""
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def finish(modules: list[str]) -> None:
    sys.dont_write_bytecode = False  # whatever the base says
    for module in modules:
        importlib.import_module(module)
    scratch = Path("/tmp")
    scratch.mkdir(exist_ok=True)
    if scratch.stat().st_mode & 0o7777 != 0o1777:  # a base need not have one that all may write to
        scratch.chmod(0o1777)
    remove(
        [*superfluous(program_folders(), module_folders()), *Path("/usr/share").glob("python-wheels"), Path(__file__)]
    )


if __name__ == "__main__":
    finish(sys.argv[1:])
