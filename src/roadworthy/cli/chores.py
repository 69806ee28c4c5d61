"""The chores of a project: what must be done beside its server, how often, and in which order."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from functools import cached_property
from typing import TYPE_CHECKING

from roadworthy import __version__
from roadworthy.app.watched import WATCHED, Watched
from roadworthy.app.watched_parts import alarms, effects, log_parts, qualities
from roadworthy.cli.dialling import Dialling
from roadworthy.cli.explaining import Attributer
from roadworthy.cli.flows import DAY
from roadworthy.cli.opening import registry_of
from roadworthy.cli.spans import Stretch
from roadworthy.cli.tending import Chore
from roadworthy.cli.watched_quality import draw_of, quality_of, reference_for
from roadworthy.core.measure import Verdict
from roadworthy.observe.alert import Alert, CauseTable
from roadworthy.observe.alerting.minutes import Watching, watch_minutes
from roadworthy.observe.explanation.explaining import explain_share, forget_attributions
from roadworthy.observe.quality.draws import collect
from roadworthy.observe.watch import detectors_of, look_at, tell
from roadworthy.store.retention import retain
from roadworthy.store.sealing import seal

if TYPE_CHECKING:
    from roadworthy.core.spec import Spec
    from roadworthy.observe.export.trace_exporter import TraceExporter
    from roadworthy.store.shipping import Shipping
    from roadworthy.store.state import State

MINUTE, HOUR = 60.0, 3600.0
# An explanation that nobody has asked for in so long is forgotten.
EXPLANATION_DAYS = 90.0
# So much of the rows before an alarm are looked at for its cause.
CAUSE_MINUTES = 20.0


def chores_of(spec: Spec, state: State, opened: ExitStack) -> list[Chore]:
    """What is to be done for a project, the quick and urgent first. What stays open between turns is in `opened`."""
    doing = _Doing(spec, state, opened)
    chores = [
        Chore("minute", MINUTE, doing.minute),
        Chore("ship", MINUTE, doing.ship) if spec.log.ship else None,
        Chore("traces", MINUTE, doing.traces) if spec.monitor.traces else None,
        Chore("dials", MINUTE, doing.dials),
        Chore("audit", MINUTE, doing.audit) if spec.monitor.audit_share else None,
        Chore("explain", 5 * MINUTE, doing.explain) if spec.monitor.explain_share else None,
        Chore("seal", 10 * MINUTE, doing.seal),
        Chore("drift", spec.monitor.every_days * DAY, doing.drift),
        Chore("quality", HOUR, doing.quality),
        Chore("retain", HOUR, doing.retain),
        Chore("verify", DAY, doing.verify),
    ]
    return [chore for chore in chores if chore is not None]


class _Doing:
    """The chores as functions of the time; what they open stays open for the next turn."""

    def __init__(self, spec: Spec, state: State, opened: ExitStack) -> None:
        self.spec, self.state, self.registry = spec, state, registry_of(spec, state)
        self.name = spec.application.name
        self.watching = Watching.of(self.name, spec.monitor, spec.root)
        self.watched = Watched(state.directory / WATCHED)
        self._dialling = Dialling(state, self.registry, self.name, spec.root, self.watching.sinks)
        self._opened = opened
        self._shipped = False

    @cached_property
    def _attributer(self) -> Attributer:
        return Attributer(self.spec, self.state, self.registry, cpu_seconds=0.1)

    @cached_property
    def _shipping(self) -> Shipping:
        from roadworthy.store.base import shipment
        from roadworthy.store.shipping import shipping_of

        return self._opened.enter_context(shipping_of(shipment.make(self.spec.log.ship, self.spec.root), self.state))

    @cached_property
    def _exporter(self) -> TraceExporter:
        from roadworthy.observe.export.otlp import Collector
        from roadworthy.observe.export.trace_exporter import TraceExporter
        from roadworthy.observe.export.traces import Tracer

        collector = Collector(self.spec.monitor.traces)
        return TraceExporter(self.state, Tracer.of(self.spec), collector, __version__)

    def minute(self, now: float) -> str | None:
        """Count what came, ask the rules, tell who is to be told."""
        stable = self.registry.alias(self.name, "stable") or ""
        found = watch_minutes(self.state, self.watching, now, self._cause, stable)
        self.watched.put("log", log_parts(self.state.records), now)
        self.watched.put("alerts", alarms(self.state.engine, self.name), now)
        told = [str(alert) for alert in found.alerts if alert.is_due]
        return "; ".join(told) or (f"{found.records} records counted" if found.records else None)

    def ship(self, now: float) -> str | None:
        """Send on what came since the last time."""
        self._shipped = False
        shipped = self._shipping.catch_up(lambda: now)
        self._shipped = shipped.done
        self.watched.put("ship", self._shipping.lag(lambda: now), now)
        return str(shipped) if shipped.records or shipped.labels else None

    def traces(self, now: float) -> str | None:
        """Export the sampled traces of what came since the last time."""
        told = self._exporter.export()
        self.watched.put("traces", self._exporter.measurements(), now)
        return str(told)

    def dials(self, now: float) -> str | None:
        """Let what follows late labels, or what was answered, follow what came."""
        moved = self._dialling.follow(now)
        return "; ".join(f"{dial.name}: {dial.because}" for dial in moved) or None

    def audit(self, now: float) -> str | None:
        """Draw predictions for a person to label."""
        drawn = collect(self.state, draw_of(self.spec), now)
        return f"{drawn} predictions drawn to be labelled" if drawn else None

    def explain(self, now: float) -> str | None:
        """Explain a share of what came, within its budget of CPU."""
        done = explain_share(self.state, self.spec.monitor, self._attributer.of, now)
        failed = f", {len(done.failed)} cannot be: {done.failed[0]}" if done.failed else ""
        skipped = f", {done.skipped} are beyond the budget" if done.skipped else ""
        return f"{done.kept} of {done.drawn} explained{skipped}{failed}" if done.drawn else None

    def seal(self, now: float) -> str | None:
        """Move old rows into Parquet."""
        done = seal(self.state.records, self.spec.log, now)
        return f"{done.rows} records sealed into {len(done.files)} files" if done.rows else None

    def drift(self, now: float) -> str | None:
        """Ask the detectors about the last days."""
        reference = reference_for(self.spec, self.state, None)
        if not reference.n:
            return "no release keeps a profile: there is nothing to compare with"
        detectors = detectors_of(self.spec.monitor.detectors, self.spec.root, self.spec.monitor)
        looks = look_at(self.state, detectors, reference, now, self.spec.monitor.window_days)
        alerts = tell(self.state, self.name, looks, self.watching.sinks)
        self.watched.put("drift", effects(look.verdict for look in looks), now)
        return _told(look.verdict for look in looks) + (f"; {len(alerts)} alerts" if alerts else "")

    def quality(self, now: float) -> str | None:
        """Measure the last days with the labels that are there."""
        found = quality_of(self.spec, self.state, Stretch(now - self.spec.monitor.window_days * DAY, now, now))
        self.watched.put("quality", qualities((*found.measured, *found.label_free)), now)
        return f"{found.rows} answers, {found.decision}" if found.rows else None

    def retain(self, now: float) -> str | None:
        """Remove what is older than its retention, and no hold keeps."""
        forget_attributions(self.state, now - EXPLANATION_DAYS * DAY)
        if self.spec.log.ship and not self._shipped:
            return "nothing is removed before all of it was shipped"
        done = retain(self.state.records, self.state.engine, self.spec.log, now)
        return f"{done.rows} records removed, {len(done.held)} files held" if done.rows or done.held else None

    def verify(self, now: float) -> str | None:
        """Compare every sealed file with what was sealed."""
        found = self.state.records.verify(now)
        return f"{len(found.damaged)} damaged files, {found.lost} records are not read" if found.damaged else None

    def _cause(self, alert: Alert) -> CauseTable | None:
        """What lies behind an alarm of the last minutes, as `roadworthy why` would say."""
        from roadworthy.observe.root_cause.incident import investigate

        metric = "errors" if alert.detector.startswith("slo-") else "p99"
        found = investigate(self.state, self.name, alert.at - CAUSE_MINUTES * MINUTE, alert.at, metric)
        if not found.causes:
            return None
        rows = tuple((cause.kind, cause.what, f"{cause.share:.0%}", cause.sentence) for cause in found.causes[:5])
        return CauseTable(found.causes[0].sentence, ("kind", "what", "share", "in words"), rows)


def _told(verdicts: Iterable[Verdict]) -> str:
    return "; ".join(f"{verdict.of} {verdict.decision}" for verdict in verdicts)
