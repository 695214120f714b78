"""What tests of records, pages and the gallery share."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any

from smallscale.runs.record import RunRecord

HOSTILE = '"><script>alert(1)</script>'


class Page(HTMLParser):
    """The tags of a page, in order, with their attributes, and its scripts' texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "script":
            self.scripts.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def record(**changes: Any) -> RunRecord:
    """A run's record; the changes are given as run.json would hold them."""
    content = {
        "run": "adversarial-images-3f2a91c0d1e2",
        "notebook": "robustness/adversarial-images",
        "title": "How little must change",
        "question": "A classifier reads digits almost perfectly; how little must "
        "*change* before it is wrong?",
        "status": "completed",
        "parameters": {"scale": "small", "seed": 0, "eps": 0.25, "data": ""},
        "claims": [],
        "metrics": {"accuracy": 0.25},
        "seconds": 12.3,
        "peak_mb": 812.0,
        "error": "",
        "seed": 0,
        "scale": "small",
        "kernel": "warm",
        "versions": {"python": "3.11.2", "torch": "2.13.0"},
        "hardware": {"machine": "x86_64", "cores": 2, "memory_gb": 8.3, "gpu": None},
        "data": {},
        "started": "2026-11-03T12:00:00+00:00",
        "finished": "2026-11-03T12:00:12+00:00",
        "figures": [],
        "html": True,
    }
    return RunRecord.from_json(json.dumps(content | changes))


def claim(**changes: Any) -> dict[str, Any]:
    """A judged claim that holds, as run.json would hold it."""
    content = {
        "statement": "It holds",
        "measured": "1",
        "holds": True,
        "tolerance": "",
        "paper": "",
        "reproduced": None,
        "judged": True,
    }
    return content | changes


def assert_closed(page: Page) -> None:
    """Check that the page loads only what lies beside it, and runs nothing.

    It may have one script, of its own, which its policy names by its hash.
    """
    (policy,) = [
        meta["content"]
        for meta in page.all("meta")
        if meta.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src ")
    digests = [hashlib.sha256(script.encode()).digest() for script in page.scripts]
    hashes = [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests]
    (allowed,) = re.findall(r"script-src ([^;]*);", policy)
    assert len(page.all("script")) == len(hashes) <= 1
    assert set(hashes) <= {allowed}
    assert allowed == "'none'" or allowed.startswith("'sha256-")
    for tag, attributes in page.tags:
        assert tag not in ("iframe", "object", "embed", "base")
        assert tag != "script" or not attributes
        assert not [name for name in attributes if name.startswith("on")]
        if tag != "a":
            for name in ("src", "href", "srcset"):
                assert not re.match(r"\w*:?//", attributes.get(name) or "")
