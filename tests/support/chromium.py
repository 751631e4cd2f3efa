"""A page in headless Chromium, asked over the DevTools protocol: what it shows, complains of, and wants to load."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp

CHROMIUM = shutil.which("chromium")
START_SECONDS = 200

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions"),
    *("--remote-debugging-port=0", "--remote-debugging-address=127.0.0.1", "--hide-scrollbars"),
)


class Tab:
    """One tab. `complaints` are what the console would show, `requests` the URLs that were asked for."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self._socket = socket
        self._numbers = count(1)
        self._session: str | None = None
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._loaded = asyncio.Event()
        self._listening = asyncio.create_task(self._listen())

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json(message)
        return await asyncio.wait_for(self._answers[number], START_SECONDS)

    async def attach(self) -> None:
        target = (await self.call("Target.createTarget", url="about:blank"))["targetId"]
        self._session = (await self.call("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self.call(f"{domain}.enable")

    async def open(self, url: str, *, width: int, scheme: str = "light", media: str = "") -> None:
        """Load a page, in a window this wide, for someone who prefers this colour scheme."""
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        await self.call(
            "Emulation.setEmulatedMedia", media=media, features=[{"name": "prefers-color-scheme", "value": scheme}]
        )
        self._loaded.clear()
        await self.call("Page.navigate", url=url)
        await asyncio.wait_for(self._loaded.wait(), START_SECONDS)

    async def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        answer = await self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def screenshot(self) -> bytes:
        """The whole page as a PNG."""
        shot = await self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        return base64.b64decode(shot["data"])

    async def close(self) -> None:
        with contextlib.suppress(ConnectionError, TimeoutError):
            self._session = None
            await self.call("Browser.close")
        self._listening.cancel()

    async def _listen(self) -> None:
        async for message in self._socket:
            reply = message.json()
            if "id" in reply:
                answer = self._answers.pop(reply["id"])
                if "error" in reply:
                    answer.set_exception(RuntimeError(f"DevTools: {reply['error']}"))
                else:
                    answer.set_result(reply["result"])
            else:
                self._take(reply["method"], reply["params"])

    def _take(self, method: str, event: dict[str, Any]) -> None:
        match method:
            case "Page.loadEventFired":
                self._loaded.set()
            case "Runtime.consoleAPICalled":
                self.complaints.append(f"console.{event['type']}: {event['args']}")
            case "Runtime.exceptionThrown":
                self.complaints.append(str(event["exceptionDetails"]))
            case "Log.entryAdded":
                self.complaints.append(str(event["entry"]))
            case "Network.requestWillBeSent":
                self.requests.append(event["request"]["url"])


@asynccontextmanager
async def chromium_tab(directory: Path) -> AsyncGenerator[Tab, None]:
    """A tab of a new browser, whose profile is in `directory`."""
    assert CHROMIUM
    profile = directory / "chromium"
    browser = await asyncio.create_subprocess_exec(
        CHROMIUM,
        *FLAGS,
        f"--user-data-dir={profile}",
        "about:blank",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        address = await _address(profile)
        async with aiohttp.ClientSession() as session, session.ws_connect(address, max_msg_size=0) as socket:
            tab = Tab(socket)
            await tab.attach()
            yield tab
            await tab.close()
            await asyncio.wait_for(browser.wait(), START_SECONDS)
    finally:
        if browser.returncode is None:
            browser.kill()
            await browser.wait()


async def _address(profile: Path) -> str:
    """Where the browser listens, as it writes into its profile."""
    file = profile / "DevToolsActivePort"
    async with asyncio.timeout(START_SECONDS):
        while not (file.exists() and len(lines := file.read_text().split()) == 2):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    port, path = lines
    return f"ws://127.0.0.1:{port}{path}"
