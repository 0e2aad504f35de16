"""Draw requests per second as bars: an SVG that reads well on a light page and on a dark one."""

from collections.abc import Sequence
from html import escape
from typing import Protocol

WIDTH, LABELS, VALUES = 760, 210, 70  # of the whole, of the names to the left, of the numbers
BAR, GAP, HEAD = 11, 9, 44  # heights: of a bar, between two systems, of a panel's title
SCALE = WIDTH - LABELS - VALUES

STYLE = """
  text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328 }
  .title { font-size: 15px; font-weight: 600 }
  .value { font-size: 11px; font-variant-numeric: tabular-nums }
  .note, .peer { fill: #59636e }
  .bar { fill: #afb8c1 } .bar.ours { fill: #0969da } .second { opacity: .55 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc }
    .note, .peer { fill: #9198a1 }
    .bar { fill: #656c76 } .bar.ours { fill: #4493f8 }
  }
"""


class Measured(Protocol):
    """What is drawn of a figure."""

    @property
    def engine(self) -> str: ...
    @property
    def system(self) -> str: ...
    @property
    def endpoint(self) -> str: ...
    @property
    def rate(self) -> float: ...


def draw(figures: Sequence[Measured], ours: str) -> str:
    """Return a chart of two panels, logins and calls with a token, fastest system first."""
    engines = list(dict.fromkeys(each.engine for each in figures))
    parts: list[str] = []
    height = HEAD - 14
    for title, endpoint in (("POST /login", "login"), ("GET /private", "private")):
        shown = [each for each in figures if each.endpoint.startswith(endpoint)]
        panel, height = _panel(title, shown, ours, engines, height)
        parts += panel
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    label = 'role="img" aria-label="Requests per second"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} {label}>',
            f"<style>{STYLE}</style>",
            _text(0, 18, "Requests per second, one worker on one core", "title"),
            *_legend(engines),
            *parts,
            "</svg>\n",
        ]
    )


def _panel(
    title: str, figures: Sequence[Measured], ours: str, engines: Sequence[str], top: int
) -> tuple[list[str], int]:
    """Return a panel's elements and where it ends; its bars share a linear scale."""
    rows: dict[tuple[str, str], dict[str, float]] = {}
    for each in figures:
        rows.setdefault((each.system, each.endpoint), {})[each.engine] = each.rate
    longest = max(each.rate for each in figures)
    parts = [_text(0, top + 28, title, "title")]
    y = top + HEAD
    for (system, endpoint), rates in sorted(rows.items(), key=lambda row: -max(row[1].values())):
        mine = system == ours
        secret = endpoint.partition(", ")[2]
        name = f"{system}, {secret}" if secret else system
        parts.append(_text(0, y + len(rates) * BAR / 2 + 4.5, name, "" if mine else "peer"))
        for engine, rate in rates.items():
            second = " second" if engine != engines[0] else ""
            kind = f"bar{' ours' if mine else ''}{second}"
            width = max(1.0, rate / longest * SCALE)
            parts.append(
                f'<rect class="{kind}" x="{LABELS}" y="{y}" width="{width:.1f}"'
                f' height="{BAR - 1}" rx="1.5"/>'
            )
            value = f"{rate:,.0f}" if rate >= 100 else f"{rate:.1f}"
            parts.append(_text(LABELS + width + 6, y + BAR - 2, value, "value"))
            y += BAR
        y += GAP
    return parts, y


def _legend(engines: Sequence[str]) -> list[str]:
    parts = []
    x = WIDTH - 95 * len(engines)
    for number, engine in enumerate(engines):
        kind = f"bar ours{' second' if number else ''}"
        parts.append(f'<rect class="{kind}" x="{x}" y="8" width="12" height="{BAR}" rx="1.5"/>')
        parts.append(_text(x + 18, 18, engine, "note"))
        x += 85
    return parts


def _text(x: float, y: float, content: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(content)}</text>'
