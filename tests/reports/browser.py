"""A headless Chromium for tests: what a page looks like, what it measures, what it complains about."""

import json
import re
import shutil
import subprocess
from html import unescape

import pytest

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-extensions"]
QUIET = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-default-browser-check",
]

# Frames the page, runs a script of the test inside the frame's document, and prints what it returns.
WRAPPER = """<!doctype html><meta charset="utf-8"><body>
<iframe id="page" width="%(width)d" height="900" src="%(src)s"></iframe><pre id="out"></pre><script>
document.getElementById("page").addEventListener("load", (event) => {
  const page = event.target.contentDocument;
  document.getElementById("out").textContent = JSON.stringify((%(script)s)(page));
});
</script></body>"""


def require():
    if CHROMIUM is None:
        pytest.skip("no chromium or google-chrome on the path; install one to run browser tests")


def measure(page, script, *, width=1366, net_log=None):
    """The JSON value that `script`, a function of the document, returns; and the console's lines."""
    wrapper = page.with_name("wrapper.html")
    wrapper.write_text(WRAPPER % {"width": width, "src": page.name, "script": script}, encoding="utf-8")
    log = [f"--log-net-log={net_log}", "--net-log-capture-mode=Everything"] if net_log else []
    done = _run("--allow-file-access-from-files", "--enable-logging=stderr", *log, "--dump-dom", wrapper.as_uri())
    found = re.search(r'<pre id="out">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found and found[1], done.stderr[-2000:]
    return json.loads(unescape(found[1])), [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def screenshot(page, out, *, width=1366, height=768):
    _run(f"--window-size={width},{height}", f"--screenshot={out}", page.as_uri())
    return out


def print_pdf(page, out):
    _run("--no-pdf-header-footer", f"--print-to-pdf={out}", page.as_uri())
    return out


def _run(*arguments):
    command = [CHROMIUM, *FLAGS, *QUIET, "--virtual-time-budget=4000", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=90, check=True)
