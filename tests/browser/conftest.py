"""A real server and a real browser: started once, watched all the time.

A test's `page` fails at its end if the console had an error, a request failed, an answer was 4xx or 5xx, anything was
asked of another host, or the server logged a traceback. Streamlit's own two health probes on deep links are let pass:
its frontend tries them below the page's path first.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright

from tests.miniature import build_miniature

ROOT = Path(__file__).resolve().parents[2]
# WebGL in software: test machines have no graphics card. The rest keeps Chromium from calling home.
FLAGS = [
    "--no-sandbox",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-background-networking",
]
PATIENCE_MS = 60_000
expect.set_options(timeout=PATIENCE_MS)
_PROBES = ("/_stcore/health", "/_stcore/host-config")


@dataclass
class Server:
    """A running dashboard: `url` without a slash at its end, `log` the file it writes."""

    url: str
    data: Path
    log: Path


@dataclass
class Watch:
    """What a page's test must not have seen."""

    host: str
    troubles: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def attach(self, page: Page) -> None:
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.troubles.append(f"page error: {error}"))
        page.on("request", self._request)
        page.on("requestfailed", self._failed)
        page.on("response", self._response)

    def _console(self, message) -> None:
        if message.type == "error" and not _is_probe(message.location.get("url", "")):
            self.troubles.append(f"console: {message.text} ({message.location.get('url')})")

    def _request(self, request) -> None:
        self.requests.append(request.url)
        if urlsplit(request.url).scheme in ("http", "https", "ws", "wss") and urlsplit(request.url).netloc != self.host:
            self.troubles.append(f"another host: {request.url}")

    def _failed(self, request) -> None:
        # The map gives up tiles and hours that it no longer needs.
        if "ERR_ABORTED" not in (request.failure or ""):
            self.troubles.append(f"failed: {request.url} {request.failure}")

    def _response(self, response) -> None:
        if response.status >= 400 and not _is_probe(response.url):
            self.troubles.append(f"{response.status}: {response.url}")


def _is_probe(url: str) -> bool:
    return urlsplit(url).path.endswith(_PROBES)


def find_browser(playwright: Playwright) -> str:
    """Return a Chromium's path: $CHROMIUM, the PATH, Playwright's own download. Without one the tests fail."""
    candidates = [
        os.environ.get("CHROMIUM"),
        *(shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")),
        playwright.chromium.executable_path,
    ]
    for candidate in candidates:
        if candidate and Path(candidate).is_file():
            return candidate
    pytest.fail(
        "no browser: put Chromium on the PATH, name one in $CHROMIUM, or run `python -m playwright install chromium`"
    )


@contextmanager
def run_server(data: Path, log: Path, *options: str, base: str = "") -> Iterator[Server]:
    """Serve the dashboard on a free port of this machine until the block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)]
    command += ["--server.headless", "true", "--server.fileWatcherType", "none", *options]
    if base:
        command += ["--server.baseUrlPath", base]
    url = f"http://127.0.0.1:{port}" + (f"/{base.strip('/')}" if base else "")
    with log.open("w") as out:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, "FUSION_DATA": str(data)}, stdout=out, stderr=subprocess.STDOUT
        )
        try:
            _wait_until_up(f"{url}/_stcore/health", process, log)
            yield Server(url, data, log)
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_up(health: str, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(health, timeout=5) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.3)
    pytest.fail(f"the server did not start:\n{log.read_text()}")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(playwright), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def data_folder(tiny_city_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny synthetic city `zhengzhou-demo` and `miniature`, whose every figure is known; tests may add runs."""
    root = tmp_path_factory.mktemp("served")
    shutil.copytree(tiny_city_root, root, dirs_exist_ok=True)
    build_miniature(root)
    return root


@pytest.fixture(scope="session")
def server(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with run_server(data_folder, tmp_path_factory.mktemp("log") / "server.log") as server:
        yield server


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., tuple[Page, Watch]]]:
    """Return a function that opens an address of a server: `open_page(server, "/activity_map?city=...")`."""
    opened: list[tuple[Page, Watch, Server, int]] = []

    def _open(server: Server, path: str = "/", *, locale: str = "en-US", size: tuple[int, int] = (1400, 900)):
        context = browser.new_context(locale=locale, viewport={"width": size[0], "height": size[1]})
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        watch = Watch(urlsplit(server.url).netloc)
        watch.attach(page)
        opened.append((page, watch, server, server.log.stat().st_size))
        page.goto(server.url + path)
        page.locator("h1").first.wait_for()
        return page, watch

    yield _open
    troubles = []
    for page, watch, server, logged in opened:
        page.context.close()
        troubles += watch.troubles
        news = server.log.read_bytes()[logged:].decode(errors="replace")
        if "Traceback" in news:
            troubles.append(news)
    assert not troubles, "\n".join(troubles)
