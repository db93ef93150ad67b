"""Find a Chromium for the browser tests, or install one.

The order: $CHROMIUM, the PATH, Playwright's own download (made now if need be), apt where this is root on Debian.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ADVICE = "no Chromium: set CHROMIUM=/path/to/chromium, or install one (apt install chromium, brew install chromium)"


def find_browser() -> str | None:
    """Return the path of a Chromium, None where there is none yet."""
    given = os.environ.get("CHROMIUM")
    if given:
        return given if Path(given).exists() else None
    for name in NAMES:
        path = shutil.which(name)
        if path:
            return path
    return _playwright_browser()


def install_browser() -> str | None:
    """Fetch Playwright's own Chromium; where that fails and this is root, Debian's."""
    _call([sys.executable, "-m", "playwright", "install", "chromium"])
    if not find_browser() and hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get"):
        _call(["apt-get", "update", "-qq"])
        # The Chinese font keeps 中文 readable on screenshots.
        _call(["apt-get", "install", "-y", "-qq", "chromium", "fonts-noto-cjk"])
    return find_browser()


def _playwright_browser() -> str | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if path and Path(path).exists() else None


def _call(command: list[str]) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        subprocess.run(command, check=False, env=environment, timeout=900)
    except (OSError, subprocess.TimeoutExpired) as error:
        sys.stderr.write(f"{command[0]}: {error}\n")


if __name__ == "__main__":
    browser = find_browser() or install_browser()
    sys.stderr.write(f"browser: {browser}\n" if browser else f"{ADVICE}\n")
    sys.exit(0 if browser else 1)
