"""Parts of HTML pages that stand alone: their style and their pictures are in them, and nothing else is loaded."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Sequence
from html import escape

__all__ = ["cells", "image", "table", "whole_page"]

STYLE = """
body{font:15px/1.45 system-ui,sans-serif;color:#1f2933;background:#fff;margin:2rem auto;max-width:1180px;padding:0 1rem}
h1{font-size:1.5rem;margin-bottom:.2rem}h2{font-size:1.2rem;margin-top:2.2rem}h3{font-size:1rem;margin:1.4rem 0 .4rem}
p,.soft{color:#56616d}table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:.22rem .7rem;text-align:right;border-bottom:1px solid #e6e9ed}th{font-weight:600}
th:first-child,td:first-child{text-align:left}tr.mean td{font-weight:600;border-top:2px solid #9aa5b1}
.key{display:flex;gap:2.2rem;flex-wrap:wrap;margin:1rem 0}.key b{display:block;font-size:1.5rem}
.bar{min-width:5rem;background:linear-gradient(90deg,#cfe3e0 var(--ap),#f3f5f7 0)}
img{max-width:100%}.cards{display:flex;flex-wrap:wrap;gap:1rem}
.card{width:264px;font-size:.82rem;line-height:1.35}.card img{display:block;max-height:230px;margin:.2rem 0 .3rem;
image-rendering:pixelated}
.card .name{overflow-wrap:anywhere}.said span{display:inline-block;margin:0 .35rem .1rem 0;white-space:nowrap}
.wrong{color:#b42318;font-weight:600}.missed{color:#b42318;text-decoration:underline dotted}.open{color:#8a94a0}
"""
# What a browser is told, should a name ever get into the page as something else than text: nothing runs or is loaded.
ALONE = (
    '<meta http-equiv="Content-Security-Policy" '
    "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">"
)


def whole_page(title: str, parts: Iterable[str]) -> str:
    """Return a page of a title, which is escaped, and of parts in HTML."""
    head = f'<meta charset="utf-8">{ALONE}<title>{escape(title)}</title><style>{STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(parts)}</body></html>\n'


def table(head: Sequence[str], rows: Iterable[str]) -> str:
    """Return a table; head and rows are in HTML."""
    return f"<table><tr>{''.join(f'<th>{cell}</th>' for cell in head)}</tr>{''.join(rows)}</table>"


def cells(values: Iterable[object]) -> str:
    """Return the cells of a row, in HTML."""
    return "".join(f"<td>{value}</td>" for value in values)


def image(png: bytes, about: str = "") -> str:
    """Return a picture that lies in the page itself; `about` is escaped."""
    return f'<img alt="{escape(about)}" src="data:image/png;base64,{b64encode(png).decode()}">'
