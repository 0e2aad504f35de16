"""Charts of usage: a panel of bars for logins, and one for failures, with the figures behind them.

They are drawn by our own template. Leather and Pygal fix their colours and the size of their text,
which suits neither the dark theme nor a phone, and Pygal needs inline styles.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import product

from django.utils import timezone

from api.models import Client, ClientUsage
from api.usage import figures
from api.usage.figures import HourOfUsage

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
WIDTH, GAP, HEIGHT = 10, 2, 60  # of a bar
MIN_HEIGHT = 2  # so that one failure among thousands can be seen


@dataclass(slots=True)
class Span:
    """What happened from one time to another."""

    begin: datetime
    end: datetime
    logins: int = 0
    failures: int = 0
    throttled: int = 0

    @property
    def start(self) -> str:
        return f"{self.begin:%d %b %H:%M}"

    @property
    def label(self) -> str:
        return f"{self.start} to {self.end:%H:%M}"

    @property
    def counts(self) -> tuple[str, str, str]:
        return f"{self.logins:,}", f"{self.failures:,}", f"{self.throttled:,}"


@dataclass(frozen=True, slots=True)
class Bar:
    kind: str
    x: int
    y: int
    height: int
    label: str


@dataclass(frozen=True, slots=True)
class Panel:
    title: str
    scale: str
    bars: list[Bar]


@dataclass(frozen=True, slots=True)
class Chart:
    """Spans of equal length, the oldest first. Each group of `per_group` spans has a label."""

    slug: str
    title: str
    spans: list[Span]
    per_group: int
    label_format: str
    unit: str
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, row: HourOfUsage) -> None:
        """Add what happened in an hour to its span, if it has one."""
        first = self.spans[0]
        number = (row.hour - first.begin) // (first.end - first.begin)
        if not 0 <= number < len(self.spans):
            return
        span = self.spans[number]
        match row.outcome:
            case ClientUsage.SUCCESS:
                span.logins += row.count
            case ClientUsage.THROTTLED:
                span.throttled += row.count
            case reason:
                span.failures += row.count
                self.reasons[reason] += row.count

    @property
    def width(self) -> int:
        return WIDTH * len(self.spans)

    @property
    def labels(self) -> list[str]:
        return [f"{span.begin:{self.label_format}}" for span in self.spans[:: self.per_group]]

    @property
    def past(self) -> list[Span]:
        """The spans that have begun, the newest first."""
        now = timezone.now()
        return [span for span in reversed(self.spans) if span.begin <= now]

    @property
    def totals(self) -> Iterator[tuple[str, str]]:
        for kind in ("logins", "failures", "throttled"):
            yield kind.capitalize(), f"{sum(getattr(span, kind) for span in self.spans):,}"

    @property
    def why(self) -> str:
        return "; ".join(f"{reason}: {count:,}" for reason, count in self.reasons.most_common())

    @property
    def panels(self) -> tuple[Panel, Panel]:
        failed = self._panel("Failures", ("failures", "throttled"))
        return self._panel("Logins", ("logins",)), failed

    def _panel(self, title: str, kinds: tuple[str, ...]) -> Panel:
        """Stack the bars of these kinds. Each panel has a scale of its own."""
        stacks = [[getattr(span, kind) for kind in kinds] for span in self.spans]
        maximum = max(map(sum, stacks))
        bars = []
        for number, (span, stack) in enumerate(zip(self.spans, stacks, strict=True)):
            y = HEIGHT
            for kind, count in zip(kinds, stack, strict=True):
                if count:
                    height = max(MIN_HEIGHT, round(count * HEIGHT / maximum))
                    y -= height
                    label = f"{span.label}: {kind} {count:,}"
                    bars.append(Bar(kind, WIDTH * number + GAP // 2, max(y, 0), height, label))
        return Panel(title, f"at most {maximum:,} {self.unit}" if maximum else "none", bars)


def of_all() -> tuple[Chart, Chart]:
    return draw(figures.of_all(*_week()))


def of_client(client: Client) -> tuple[Chart, Chart]:
    return draw(figures.of_client(client, *_week()))


def _week() -> tuple[datetime, datetime]:
    """Return the beginning of the day six days ago, and the end of today."""
    today = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    return today - 6 * DAY, today + DAY


def draw(hours: Iterable[HourOfUsage]) -> tuple[Chart, Chart]:
    """Return the charts of the last 24 hours and the last 7 days."""
    this_hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    day = Chart(
        "day", "Last 24 hours", _spans(this_hour - 23 * HOUR, HOUR, 24), 6, "%H:%M", "in an hour"
    )
    week = Chart(
        "week", "Last 7 days", _spans(_week()[0], 6 * HOUR, 28), 4, "%a %d", "in six hours"
    )
    for chart, row in product((day, week), hours):
        chart.add(row)
    return day, week


def _spans(begin: datetime, step: timedelta, number: int) -> list[Span]:
    return [Span(begin + each * step, begin + (each + 1) * step) for each in range(number)]
