"""One call a minute: counts what came, asks every rule and objective, and tells the alerts that follow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from roadworthy.core.errors import SpecError
from roadworthy.core.measure import Verdict
from roadworthy.core.spec import Monitor
from roadworthy.observe.alert import DAY, NEVER, Alert, CauseTable, Severity, Sink
from roadworthy.observe.alerting.delivery import Attempt, deliver
from roadworthy.observe.alerting.silences import Silence, silenced_by, silences
from roadworthy.observe.alerting.slos import rules_of as rules_of_slo
from roadworthy.observe.alerts import alert_of, keep, open_alerts
from roadworthy.observe.base import Rule, rule, sink
from roadworthy.observe.counts.rolling import compact, roll_up
from roadworthy.observe.counts.rollups import Series, series
from roadworthy.observe.sinks.webhook import Webhook
from roadworthy.store.state import State

Cause = Callable[[Alert], CauseTable | None]
# An alarm that begins within this of another one of its deployment goes with it.
GROUP_SECONDS = 1800.0
# How long an alarm that goes on is not told again.
QUIET_DAYS: Mapping[Severity, float] = {"page": 4 / 24, "ticket": 1.0}
# What a rule looks back on and who is told, where it does not say.
_DAYS = 36.0
_SEVERITY: Severity = "ticket"


class RuleLook(Struct, frozen=True):
    """What one rule said at this minute."""

    rule: str
    severity: Severity
    verdict: Verdict


class Minute(Struct, frozen=True):
    """What a minute brought: records counted, what the rules said, the alerts that followed, what was told late."""

    at: float
    records: int
    looks: tuple[RuleLook, ...]
    alerts: tuple[Alert, ...]
    late: tuple[Attempt, ...] = ()


@dataclass(frozen=True)
class Watching:
    """Who watches a deployment minute by minute: the rules by name, the sinks, and where the runbooks are."""

    deployment: str
    rules: Mapping[str, Rule]
    sinks: tuple[Sink, ...] = ()
    runbook: str = ""
    quiet_days: Mapping[Severity, float] = field(default_factory=lambda: QUIET_DAYS)

    @classmethod
    def of(cls, deployment: str, monitor: Monitor, root: Path | None = None) -> Watching:
        """What a project file says. Raises SpecError for two rules of one name, or a plan that cannot be made."""
        return cls(deployment, rules_of(monitor, root), sinks_of(monitor, root), monitor.runbook)


def rules_of(monitor: Monitor, root: Path | None = None) -> dict[str, Rule]:
    """The rules of a project file, those of its objectives included, by the names that their alarms have."""
    made: dict[str, Rule] = {}
    for each in [*(r for slo in monitor.slos for r in rules_of_slo(slo)), *(rule.make(p, root) for p in monitor.rules)]:
        name = name_of(each)
        if name in made:
            raise SpecError(f"two rules are called {name!r}; their alerts could not be told apart: rename or drop one")
        made[name] = each
    return made


def sinks_of(monitor: Monitor, root: Path | None = None) -> tuple[Sink, ...]:
    """The sinks of a project file, its plain `webhook` included."""
    webhook = (Webhook(monitor.webhook),) if monitor.webhook else ()
    return (*webhook, *(sink.make(plan, root) for plan in monitor.sinks))


def name_of(each: Rule) -> str:
    """What the alarms of a rule are called: its title, or the name in the catalog, and what it is narrowed to."""
    title = getattr(each, "title", "") or getattr(each, "catalog_name", type(each).__name__)
    where = getattr(each, "where", "")
    return f"{title}-{where}" if where else str(title)


def watch_minutes(
    state: State, watching: Watching, now: float, cause: Cause | None = None, release: str = ""
) -> Minute:
    """Count what came into the log, ask every rule, and keep and tell the alerts; to be called each minute.

    `cause` says what lies behind an alarm; it is asked only for alerts that are told, and one that fails does not keep
    them back. An alarm that is silenced, or goes with one that was told, is kept and not told. What a sink could not
    be told before is told now.
    """
    late = deliver(state.engine, watching.sinks, now)
    records = roll_up(state, now)
    compact(state, now)
    looks = _looks(state, watching, now)
    alerts = _alerts(state, watching, looks, now, release)
    told = [_with_cause(alert, cause) for alert in alerts]
    keep(state.engine, told, watching.sinks)
    return Minute(now, records, tuple(looks), tuple(told), tuple(late))


def _looks(state: State, watching: Watching, now: float) -> list[RuleLook]:
    """Every rule's verdict; rules that look at the same rows share them."""
    reach: dict[str, float] = {}
    for each in watching.rules.values():
        where = getattr(each, "where", "")
        reach[where] = max(reach.get(where, 0.0), getattr(each, "days", _DAYS))
    seen = {where: _series(state, where, now - days * DAY, now) for where, days in reach.items()}
    return [
        RuleLook(name, getattr(each, "severity", _SEVERITY), _asked(each, seen[getattr(each, "where", "")], now))
        for name, each in watching.rules.items()
    ]


def _series(state: State, where: str, since: float, until: float) -> Series:
    tag, _, value = where.partition("=")
    return series(state, since, until, tag=tag, value=value)


def _asked(each: Rule, seen: Series, now: float) -> Verdict:
    try:
        return each(seen, now)
    except Exception as wrong:  # a rule of somebody else's must not silence all others
        return Verdict("wait", f"the rule failed: {type(wrong).__name__}: {wrong}", name_of(each))


def _alerts(state: State, watching: Watching, looks: Sequence[RuleLook], now: float, release: str) -> list[Alert]:
    """What is worth keeping of the looks: what began, ended, is to be told again, or is quiet for another reason."""
    before = open_alerts(state.engine, watching.deployment)
    held = silences(state, now)
    found: list[Alert] = []
    for look in sorted(looks, key=lambda look: (look.verdict.decision != "pass", look.severity != "page")):
        earlier = before.get(look.rule)
        alert = alert_of(
            look.verdict, _first(watching, look, now, release), earlier, watching.quiet_days[look.severity]
        )
        if alert is None:
            continue
        if alert.status != "resolved":
            alert = _quieted(alert, earlier, held, _standing(before, found))
        if _is_news(alert, earlier):
            found.append(alert)
    return [_with_company(alert, found) for alert in found]


def _first(watching: Watching, look: RuleLook, now: float, release: str) -> Alert:
    each = watching.rules[look.rule]
    since = now - getattr(each, "days", _DAYS) * DAY
    runbook = f"{watching.runbook}{look.rule}" if watching.runbook else ""
    verdict = look.verdict
    return Alert(
        watching.deployment,
        look.rule,
        "raised",
        now,
        verdict.because,
        since,
        now,
        first_at=now,
        told_at=now,
        release=release,
        evidence=verdict.evidence,
        severity=look.severity,
        where=getattr(each, "where", ""),
        runbook=runbook,
    )


def _standing(before: Mapping[str, Alert], found: Iterable[Alert]) -> list[Alert]:
    """The alarms that are on and were told, counting what this minute brought."""
    latest = {**before, **{alert.detector: alert for alert in found}}
    return [a for a in latest.values() if a.status != "resolved" and a.told_at != NEVER]


def _quieted(alert: Alert, before: Alert | None, held: Sequence[Silence], standing: Iterable[Alert]) -> Alert:
    """The alert, its telling taken back where a silence holds, or where another alarm was told for it.

    A ticket goes with any open page; a page or ticket that begins soon after another one goes with that.
    """
    told_before = before is not None and before.told_at != NEVER
    number = silenced_by(alert, held)
    leader = "" if told_before else next((a.key for a in standing if _leads(a, alert)), "")
    if not number and not leader:
        return alert
    told = before.told_at if before is not None else NEVER
    return replace(alert, told_at=told, silenced=number, grouped_under=leader)


def _leads(one: Alert, other: Alert) -> bool:
    if one.key == other.key or (one.severity == "ticket" and other.severity == "page"):
        return False
    higher = one.severity == "page" and other.severity == "ticket"
    return higher or other.first_at - one.first_at <= GROUP_SECONDS


def _is_news(alert: Alert, before: Alert | None) -> bool:
    if before is None or alert.status != "again" or alert.is_due:
        return True
    return (alert.silenced, alert.grouped_under) != (before.silenced, before.grouped_under)


def _with_company(alert: Alert, found: Sequence[Alert]) -> Alert:
    """An alert that is told names those that go with it."""
    also = tuple(other.key for other in found if other.grouped_under == alert.key and not other.silenced)
    return replace(alert, also=also) if also and alert.is_due else alert


def _with_cause(alert: Alert, cause: Cause | None) -> Alert:
    if cause is None or not alert.is_due or alert.status == "resolved":
        return alert
    try:
        return replace(alert, cause=cause(alert))
    except Exception as wrong:  # an alarm without its cause is worth more than none
        return replace(alert, cause=CauseTable(f"the cause was not found: {type(wrong).__name__}: {wrong}"))
