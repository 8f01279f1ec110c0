"""A page in a real browser, where the machine has Chromium."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")


def chromium(page: Path, *options: str) -> str:
    """What the browser writes to standard output when it opens `page` without any network."""
    assert CHROMIUM is not None
    command = [
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        f"--user-data-dir={page.parent / 'profile'}",
        "--proxy-server=http://127.0.0.1:9",  # nothing answers there
        *options,
        page.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True)
    return done.stdout


def after(page: Path, program: str, *options: str) -> str:
    """What `program`, in the page once it stands, makes of it: the text that it returns.

    The page refuses scripts other than its own, so a copy without its policy is opened.
    """
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text())
    told = f"<script>document.body.textContent = '<<<' + (() => {{ {program} }})() + '>>>'</script></body>"
    copy = page.with_name("copy.html")
    copy.write_text(text.replace("</body>", told))
    found = re.search("&lt;&lt;&lt;(.*)&gt;&gt;&gt;", chromium(copy, "--dump-dom", *options), re.DOTALL)
    assert found is not None
    return found[1]
