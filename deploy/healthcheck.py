"""Health checks of containers, for images without curl: healthcheck.py URL [PART...]

Exit code 0 when URL answers 200 and, where parts are named, its JSON says that each of them is up.
"""

import json
import sys
from urllib.error import URLError
from urllib.request import urlopen


def fault(url: str, parts: list[str]) -> str | None:
    """What is wrong, in one line; None when nothing is."""
    try:
        with urlopen(url, timeout=4) as answer:  # noqa: S310 - the operator's URL
            body = json.load(answer)
    except (URLError, OSError, ValueError) as error:
        return f"{url}: {error}"
    for part in parts:
        state = body["data"]["parts"].get(part, {"status": "missing"})
        if state["status"] != "up":
            return f"{part} is {state['status']} {state.get('reason', '')}".rstrip()
    return None


if __name__ == "__main__":
    sys.exit(fault(sys.argv[1], sys.argv[2:]))
