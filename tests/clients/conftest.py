"""The origin of the end-to-end tests, for independent judges and real players; and a browser."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from tests.e2e.conftest import label, listener, origin, tracks
from tests.e2e.servers import Program

__all__ = ["label", "listener", "origin", "tracks"]

HERE = Path(__file__).parent
SCRIPT_TIMEOUT_S = 90

Call = Callable[..., Any]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A site with the players' libraries and the pages of these tests."""
    words = ["-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(HERE)]
    log = tmp_path_factory.mktemp("site") / "log"
    with Program([sys.executable, *words], {}, log) as server:
        yield f"http://127.0.0.1:{server.wait_for(r'port ([0-9]+)')}"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    profile = tmp_path_factory.mktemp("chromium")
    for word in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--autoplay-policy=no-user-gesture-required",
        f"--user-data-dir={profile}",
    ):
        options.add_argument(word)
    options.binary_location = "/usr/bin/chromium"
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    driver.set_script_timeout(SCRIPT_TIMEOUT_S)
    yield driver
    driver.quit()


@pytest.fixture
def call(chromium: webdriver.Chrome, site: str) -> Call:
    """Calls a function of a module of the site on a fresh page, and returns what it gives."""
    chromium.get(f"{site}/browser/page.html")

    def run(module: str, function: str, *arguments: Any) -> Any:
        script = """
            const [module, name, given, done] = arguments;
            import(module).then(found => found[name](...given)).then(
                value => done({ value }), fault => done({ fault: `${fault.stack ?? fault}` }));
        """
        url = f"{site}/browser/{module}"
        answer = chromium.execute_async_script(script, url, function, list(arguments))
        assert "fault" not in answer, answer["fault"]
        return answer["value"]

    return run
