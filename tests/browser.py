"""Look at a page in Chromium: does axe-core find a fault, and does it fit the window?"""

import html
import json
import re
import shutil
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from support import missing

FLAGS = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking"
DARK = "--blink-settings=preferredColorScheme=0"
ANALYSE = """
    document.querySelectorAll("details").forEach(each => each.open = true);
    axe.run(document).then(found => {
        const text = JSON.stringify(found.violations.concat(found.incomplete).map(
            each => [each.id, each.nodes.map(node => node.html)]));
        document.body.append(Object.assign(
            document.createElement("pre"), {id: "found", textContent: text}));
    });
"""
Run = Callable[..., str]


def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("google-chrome")
    return found or missing("no Chromium: apt-get install chromium")


def axe() -> str:
    """Return the script of axe-core."""
    package = find_spec("axe_core_python")
    if package is None:
        missing("no axe-core: pip install -r tests/requirements.txt")
    (folder,) = package.submodule_search_locations or []
    return Path(folder, "axe.min.js").read_text("utf-8")


def dump(folder: Path, name: str, budget: int, flags: Sequence[str], run: Run) -> str:
    """Return what a file in a folder has become after its scripts ran for `budget` milliseconds."""
    profile = f"--user-data-dir={folder / 'profile'}"
    time = f"--virtual-time-budget={budget}"
    words = [chromium(), *FLAGS.split(), *flags, profile, time, "--dump-dom"]
    return run([*words, f"file://{folder / name}"], folder)


def found_by_axe(folder: Path, page: str, flags: Sequence[str], run: Run) -> object:
    """Return the faults of a page, with all that is folded opened."""
    script = f"<script>{axe()}</script><script>{ANALYSE}</script></body>"
    (folder / "page.html").write_text(page.replace("</body>", script), "utf-8")
    dom = dump(folder, "page.html", 20000, flags, run)
    found = re.search('(?s)<pre id="found">(.*?)</pre>', dom)
    assert found, dom[-2000:]
    return json.loads(html.unescape(found[1]))


def needed_width(folder: Path, page: str, width: int, run: Run) -> int:
    """Return how many pixels the content of a page takes in a window of this width.

    A frame is as narrow as it is told to be; a window is not. The page's own title says how wide
    its content is, as the frame of a file may not look into the page.
    """
    measure = "<script>document.title = document.documentElement.scrollWidth</script></body>"
    (folder / "page.html").write_text(page.replace("</body>", measure), "utf-8")
    (folder / "frame.html").write_text(
        f'<iframe src="page.html" width="{width}" height="800" onload="'
        "document.body.append('width ' + this.contentDocument.title + ' end')"
        '"></iframe>',
        "utf-8",
    )
    dom = dump(folder, "frame.html", 2000, ["--allow-file-access-from-files"], run)
    found = re.search(r"width (\d+) end", dom)
    assert found, dom
    return int(found[1])
