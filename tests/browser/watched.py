"""Which pages misbehave unseen? A page in Chromium, and what it printed or fetched."""

import shutil
from dataclasses import dataclass, field

from playwright.sync_api import Browser, Page

# As Debian, Ubuntu and Google call it.
NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-sync",
    "--disable-component-update",
]
PATIENCE = 120_000  # milliseconds: the machine may be busy with other things


@dataclass
class Watched:
    """A page, and what is known of it.

    console: what it printed, as "kind: text". exceptions: those that nobody caught.
    requests: the addresses that it asked for.
    """

    page: Page
    console: list[str] = field(default_factory=list)
    exceptions: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def complaints(self) -> list[str]:
        """The console's errors and warnings, and the exceptions."""
        return [
            line for line in self.console if line.startswith(("error", "warning"))
        ] + self.exceptions


def watch(
    browser: Browser, *, width: int = 1280, height: int = 900, dark: bool = False
) -> Watched:
    """Open an empty page with a profile of its own.

    Close it with `page.context.close()`.
    """
    scheme = "dark" if dark else "light"
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme
    )
    context.set_default_timeout(PATIENCE)
    watched = Watched(context.new_page())
    context.on(
        "console",
        lambda message: watched.console.append(f"{message.type}: {message.text}"),
    )
    context.on("weberror", lambda error: watched.exceptions.append(str(error.error)))
    context.on("request", lambda request: watched.requests.append(request.url))
    watched.page.on("websocket", lambda socket: watched.requests.append(socket.url))
    return watched
