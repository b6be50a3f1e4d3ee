"""Write a lab's page as HTML.

A library for Markdown would be a dependency of the whole project, and stay when this folder goes.
The pages need little: titles, paragraphs, lists of one level, fenced code, `code`, **strong**,
*emphasis* and [links](address). A test of the template compares the result with a library's.
"""

import re
from collections.abc import Iterator
from html import escape

FENCE = re.compile(r"```(\w*)\n(.*?)^```\n?", re.DOTALL | re.MULTILINE)
ITEM = re.compile(r"(?:-|(\d+)\.) +")
INLINE = (
    (re.compile(r"\*\*(.+?)\*\*", re.DOTALL), r"<strong>\1</strong>"),
    (re.compile(r"\*(.+?)\*", re.DOTALL), r"<em>\1</em>"),
    (re.compile(r"\[([^]]+)\]\(([^)]+)\)"), r'<a href="\2">\1</a>'),
    (re.compile(r"&lt;(https?://[^&\s]+)&gt;"), r'<a href="\1">\1</a>'),
)


def to_html(text: str) -> str:
    """Return a page as HTML."""
    return "".join(blocks(text))


def blocks(text: str) -> Iterator[str]:
    end = 0
    for fence in FENCE.finditer(text):
        yield from prose(text[end : fence.start()])
        kind = f' class="language-{fence[1]}"' if fence[1] else ""
        yield f"<pre><code{kind}>{escape(fence[2], quote=False)}</code></pre>\n"
        end = fence.end()
    yield from prose(text[end:])


def prose(text: str) -> Iterator[str]:
    """Yield the blocks between two fences."""
    for block in re.split(r"\n{2,}", text.strip("\n")):
        if not block:
            continue
        title = re.fullmatch(r"(#+) +(.+)", block)
        item = ITEM.match(block)
        if title:
            level = len(title[1])
            yield f"<h{level}>{inline(title[2])}</h{level}>\n"
        elif item:
            kind = "ol" if item[1] else "ul"
            items = re.split(r"(?m)^(?:-|\d+\.) +", block)[1:]
            lines = "".join(f"<li>{inline(unindent(each))}</li>\n" for each in items)
            yield f"<{kind}>\n{lines}</{kind}>\n"
        else:
            yield f"<p>{inline(block)}</p>\n"


def unindent(text: str) -> str:
    return re.sub(r"\n +", "\n", text.strip("\n"))


def inline(text: str) -> str:
    """Return a text with its marks; what is between backquotes stays as it is."""
    parts = text.split("`")
    return "".join(
        code(part) if position % 2 else marked(part) for position, part in enumerate(parts)
    )


def code(text: str) -> str:
    text = text.replace("\n", " ")
    return f"<code>{escape(text, quote=False)}</code>"


def marked(text: str) -> str:
    text = escape(text, quote=False)
    for pattern, replacement in INLINE:
        text = pattern.sub(replacement, text)
    return text
