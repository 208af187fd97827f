"""Pieces of HTML, with everything escaped that comes from outside, and the page around them."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["Chart", "Made", "code", "note", "page", "section", "table"]

Chart = tuple[str, Any]
"A name, for the file of its picture, and the chart."

Made = tuple[str, list[Chart]]
"HTML, and the charts that are in it."

_STYLE = """
:root { color-scheme: light; --ink: #222; --quiet: #666; --line: #ddd; --shade: #f6f6f4; }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: #fff; margin: 0 auto; padding: 24px;
  max-width: 1000px; }
h1 { font-size: 26px; margin: 0 0 4px; }
h2 { font-size: 19px; margin: 36px 0 8px; border-bottom: 1px solid var(--line); padding-bottom: 4px; }
p { margin: 8px 0; max-width: 75ch; }
.quiet { color: var(--quiet); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: 10px 0; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 3px 12px 3px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--quiet); font-weight: 600; }
td { white-space: nowrap; }
td.text, th.text { text-align: left; white-space: normal; }
pre { background: var(--shade); padding: 10px 12px; white-space: pre-wrap; font-size: 13px; }
svg { width: 100%; height: auto; display: block; margin: 14px 0; }
.problem { border-left: 3px solid #b3261e; padding-left: 10px; }
"""


def note(text: str, kind: str = "") -> str:
    """A paragraph."""
    attribute = f' class="{kind}"' if kind else ""
    return f"<p{attribute}>{html.escape(text)}</p>"


def code(lines: Iterable[str]) -> str:
    """Commands, as they are typed."""
    return f"<pre>{html.escape(chr(10).join(lines))}</pre>"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, text: Sequence[int] = (0,)) -> str:
    """A table; the columns with the numbers in ``text`` are words, the others figures."""

    def cell(kind: str, place: int, value: str) -> str:
        attribute = ' class="text"' if place in text else ""
        return f"<{kind}{attribute}>{html.escape(value)}</{kind}>"

    head = "".join(cell("th", place, name) for place, name in enumerate(columns))
    body = "".join(f"<tr>{''.join(cell('td', place, value) for place, value in enumerate(row))}</tr>\n" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>'


def section(title: str, parts: Iterable[str]) -> str:
    """A heading and what is below it; parts are HTML."""
    return f"<section><h2>{html.escape(title)}</h2>\n{chr(10).join(parts)}\n</section>"


def page(title: str, subtitle: str, sections: Iterable[str]) -> str:
    """A whole document that loads nothing."""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>{html.escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{html.escape(title)}</h1>
<p class="quiet">{html.escape(subtitle)}</p>
{chr(10).join(sections)}
</body>
</html>
"""
