"""The controller takes a rollout from stage to stage, promotes it or pulls it back, one transaction a step."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from msgspec.structs import replace
from sqlalchemy import Connection

from roadworthy.core.artifact import Release
from roadworthy.core.errors import Denied, Missing, MissingExtra, SpecError, Taken
from roadworthy.core.spec import Rollout
from roadworthy.core.window import Window
from roadworthy.registry.home import writing
from roadworthy.registry.releases import AliasChange, Registry
from roadworthy.rollout.base import Gate
from roadworthy.rollout.control.admission import check_fit, check_freeze, check_plan, warnings_of
from roadworthy.rollout.control.asking import asked
from roadworthy.rollout.control.deciding import decided
from roadworthy.rollout.control.followed import ANSWERING_ARMS, Followed
from roadworthy.rollout.control.hierarchy import code_of, differences, gates_of, hash_of, share_of
from roadworthy.rollout.control.incident import Incident
from roadworthy.rollout.control.steps import Steps
from roadworthy.rollout.control.telling import Telling, nobody
from roadworthy.rollout.control.turning_back import loads_failed, release_before, taken_back
from roadworthy.rollout.rollout_state import RolloutState, all_of, history, last_of, running_of
from roadworthy.rollout.traffic import Traffic, stable_of, traffic
from roadworthy.store.leases import Lease, give_back, take
from roadworthy.store.state import State

__all__ = ["Controller", "RolloutState", "Traffic", "gates_of", "traffic"]

log = logging.getLogger(__name__)


class Controller:
    """Runs the rollouts of the deployments in one state directory.

    Killed between two steps it goes on from the last one; of several controllers the one with the lease looks. What it
    keeps in memory are rows that it has read, so that the next look reads only what is new.
    """

    def __init__(
        self,
        state: State,
        registry: Registry,
        root: Path = Path(),
        on_incident: Callable[[Incident], object] = nobody,
        now: Callable[[], float] = time.time,
        holder: str = "",
        lease_seconds: float = 10.0,
    ) -> None:
        """`root` is the folder of the project, for gates in its files.

        `on_incident` is told of each incident once it is written; what it could not be told it is told at the next
        look. `now` is the clock of the lease; `at`, wherever it is asked for, is that of the deployment.
        """
        self.state, self.registry, self.root = state, registry, root
        self.now, self.holder, self.lease_seconds = now, holder or uuid4().hex, lease_seconds
        self._steps = Steps(state, registry)
        self._telling = Telling(state, on_incident)
        self._leases: dict[str, Lease] = {}
        self._followed: dict[str, Followed] = {}
        self._gates: dict[tuple[str, int], tuple[Gate, ...]] = {}

    def start(
        self, deployment: str, candidate: str, plan: Rollout, at: float, by: str, override: str = ""
    ) -> RolloutState:
        """Begin the first stage against what is stable now. `candidate` is a digest, or a unique prefix of one.

        Raises Missing without a stable release; Taken while another rollout runs, in a freeze window, or when this
        release was rolled back before (a reason in `override` lets it, and is recorded); BadData when it takes or gives
        something else; Denied when it could never be promoted; SpecError on a plan that cannot work.
        """
        check_plan(plan, self.root)
        check_freeze(plan, at, override)
        release = self.registry.get(candidate)
        control = self.registry.alias(deployment, "stable", at)
        if control is None:
            raise Missing(f"deployment {deployment!r} had no stable release at {at!r} to compare {candidate!r} with")
        check_fit(release, self.registry.get(control))
        self._check_promotable(deployment, release)
        new = self._new(deployment, release, control, plan, at, by, override)
        with writing(self.state) as connection:
            self._check_free(connection, new, override)
            past = len(all_of(connection, deployment))
            identity = hashlib.sha256(f"{deployment}\n{release.digest}\n{at!r}\n{past}".encode()).hexdigest()[:16]
            new = replace(new, id=identity)
            self._steps.begin(connection, new, at)
        return new

    def look(self, deployment: str, at: float) -> RolloutState:
        """Ask every signal about what is known at `at`, and take the step that follows, if any.

        One `fail` rolls back, and so does a server's word that it cannot load the candidate. When all that may promote
        pass and the stage's hours are over, the next stage begins, or the candidate becomes stable. A stage that is not
        passed within `at_most_hours` is rolled back as inconclusive. Without a running rollout, or while another
        controller has the lease, it returns what is written.
        """
        self._telling.tell(deployment)
        old = self.status(deployment)
        if old.status != "running":
            self._forget(deployment)
            return old
        lease = self._lease(deployment)
        if lease is None or at < old.stage_since:
            return old
        new, candidate = self._looked(old, at)
        written = self._steps.step(old, new, at, lease, candidate)
        self._telling.tell(deployment)
        return self.status(deployment) if written is None else written

    def promote(self, deployment: str, at: float, by: str, why: str, override: str = "") -> RolloutState:
        """Make the candidate stable by hand, whatever the gates say; the rules of promotion hold all the same.

        Raises Missing when no rollout is running, Taken in a freeze window without a reason in `override`, Denied where
        only a passed rollout may promote.
        """
        _check_why(why)
        said = f"{why}, although frozen: {override}" if override else why

        def ended(old: RolloutState) -> RolloutState:
            check_freeze(old.plan, at, override)
            return replace(old, status="promoted", because=said, touched=self._touched(old, at))

        return self._steps.by_hand(deployment, ended, at, by)

    def abort(self, deployment: str, at: float, by: str, why: str) -> RolloutState:
        """Take the candidate off the traffic by hand. Raises Missing when no rollout is running."""
        _check_why(why)

        def ended(old: RolloutState) -> RolloutState:
            return replace(old, status="aborted", because=why, touched=self._touched(old, at))

        return self._steps.by_hand(deployment, ended, at, by)

    def pause(self, deployment: str, at: float, by: str, why: str) -> RolloutState:
        """Stay where it is: no stage ends and its hours do not count, but a fail still rolls back."""
        _check_why(why)

        def paused(old: RolloutState) -> RolloutState:
            because = f"{why} ({by})"
            if old.paused_at is not None:
                return old
            return replace(old, paused_at=at, paused_because=because, because=f"paused: {because}")

        return self._steps.by_hand(deployment, paused, at, by)

    def resume(self, deployment: str, at: float, by: str, why: str = "") -> RolloutState:
        """Let it go on after a pause."""

        def resumed(old: RolloutState) -> RolloutState:
            if old.paused_at is None:
                return old
            seconds = old.paused_seconds + max(0.0, at - old.paused_at)
            because = f"resumed{f': {why}' if why else ''}"
            return replace(old, paused_at=None, paused_because="", paused_seconds=seconds, because=because)

        return self._steps.by_hand(deployment, resumed, at, by)

    def rollback(self, deployment: str, at: float, by: str, why: str) -> AliasChange:
        """Make stable again what was stable before, by hand. A running rollout ends.

        What is taken back so is refused like a candidate that was rolled back. Raises Missing where nothing was stable
        before.
        """
        _check_why(why)
        with writing(self.state) as connection:
            now = stable_of(connection, deployment)
            before = release_before(connection, deployment)
            if now is None or before is None:
                raise Missing(f"no other release of {deployment!r} was stable before; `roadworthy releases` lists all")
            because = f"taken back by hand: {why}"
            identity = hashlib.sha256(f"{deployment}\n{now}\n{at!r}".encode()).hexdigest()[:16]
            incident = Incident(identity, deployment, "reverted", now, before, at, because, by)
            running = running_of(connection, deployment)
            self._steps.revert(connection, incident, self.registry.get(now).fingerprint, running)
        self._telling.tell(deployment)
        return self.registry.history(deployment, "stable")[-1]

    def check_unchanged(self, deployment: str, plan: Rollout) -> None:
        """Raises SpecError where a rollout is running and the project's plan is no longer the one it began with."""
        with self._reading() as connection:
            running = running_of(connection, deployment)
        if running is None:
            return
        edited = differences(running.plan, running.code, plan, code_of(plan, self.root))
        if edited:
            raise SpecError(
                f"rollout {running.id} of {deployment!r} runs by the plan that was written before it began, and that"
                f" was edited: {'; '.join(edited)}. Put it back, or `roadworthy rollout abort` and start anew"
            )

    def status(self, deployment: str) -> RolloutState:
        """The running rollout, or else the last one. Raises Missing where there never was one."""
        with self._reading() as connection:
            found = running_of(connection, deployment) or last_of(connection, deployment)
        if found is None:
            raise Missing(f"deployment {deployment!r} never had a rollout; begin one with `roadworthy rollout start`")
        return found

    def history(self, deployment: str) -> list[RolloutState]:
        """Every rollout of a deployment, oldest first."""
        return history(self.state.engine, deployment)

    def incidents(self, deployment: str) -> list[Incident]:
        """Every incident of a deployment, oldest first."""
        return self._telling.incidents(deployment)

    def rests(self, deployment: str) -> bool:
        """Whether a look does nothing until somebody writes: no rollout runs, and every incident was told."""
        return self.status(deployment).status != "running" and not self._telling.behind(deployment)

    def resign(self) -> None:
        """Give the leases back, so that another controller need not wait until they are over."""
        for lease in self._leases.values():
            give_back(self.state.engine, lease)
        self._leases = {}

    def _new(
        self, deployment: str, release: Release, control: str, plan: Rollout, at: float, by: str, override: str
    ) -> RolloutState:
        code = code_of(plan, self.root)
        because = [f"started against {control[:12]}", *([f"although refused: {override}"] if override else [])]
        because += [f"careful: {warning}" for warning in warnings_of(plan, self.root)]
        return RolloutState(
            "",
            deployment,
            release.digest,
            control,
            plan,
            at,
            at,
            by,
            because="; ".join(because),
            begun=(at,),
            hierarchy=hash_of(plan, code),
            code=code,
            fingerprint=release.fingerprint,
        )

    def _looked(self, old: RolloutState, at: float) -> tuple[RolloutState, Window | None]:
        """What a look makes of a rollout, and the candidate's rows that it saw."""
        with self._reading() as connection:
            unloadable = loads_failed(connection, old)
        if unloadable:
            return replace(old, status="rolled_back", because=unloadable), None
        try:
            gates = self._gates_of(old)
        except (SpecError, MissingExtra) as problem:
            return replace(old, problem=str(problem), because=f"not judged: {problem}"), None
        rows = self._follow(old).rows(old, at)
        return decided(asked(replace(old, problem=""), gates, rows, at), at), rows.candidate

    def _gates_of(self, now: RolloutState) -> tuple[Gate, ...]:
        """The gates of the plan as it was stored. Raises SpecError where their code was edited since."""
        if now.code and (code := code_of(now.plan, self.root)) != now.code:
            edited = "; ".join(differences(now.plan, now.code, now.plan, code))
            raise SpecError(f"a signal may not change while it decides: {edited}. Restore the file, or abort")
        known = self._gates.get((now.id, now.stage))
        if known is None:
            output = next(iter(self.registry.get(now.candidate).signature.outputs), "")
            known = gates_of(now.plan, self.root, share_of(now.step), int(now.id[:8], 16), output)
            self._gates = {(now.id, now.stage): known}
        return known

    def _follow(self, now: RolloutState) -> Followed:
        followed = self._followed.get(now.deployment)
        if followed is None or followed.id != now.id:
            followed = self._followed[now.deployment] = Followed(self.state.records, now)
        return followed

    def _forget(self, deployment: str) -> None:
        """Nothing runs: let the rows go, and the lease to whoever starts the next rollout."""
        self._followed.pop(deployment, None)
        if (lease := self._leases.pop(deployment, None)) is not None:
            give_back(self.state.engine, lease)

    def _lease(self, deployment: str) -> Lease | None:
        held, now = self._leases.get(deployment), self.now()
        if held is not None and now < held.until - self.lease_seconds / 2:
            return held
        lease = take(self.state.engine, f"rollout/{deployment}", self.holder, now, self.lease_seconds)
        if lease is None:
            self._leases.pop(deployment, None)
            self._followed.pop(deployment, None)
        else:
            self._leases[deployment] = lease
        return lease

    def _touched(self, now: RolloutState, at: float) -> int:
        return self.state.records.count(now.started_at, at, now.candidate, ANSWERING_ARMS)

    def _check_promotable(self, deployment: str, release: Release) -> None:
        """What was measured of a release stays as it is; signatures and approvals may still come."""
        later = {"signature", "approvals", "rollout"}
        told = self.registry.may_become_stable(deployment, release.digest)
        unmet = [f"{v.of}: {v.because}" for v in told if v.decision != "pass" and v.of not in later]
        if unmet:
            raise Denied(f"release {release.digest[:12]} could never become stable: {'; '.join(unmet)}")

    def _check_free(self, connection: Connection, new: RolloutState, override: str) -> None:
        running = running_of(connection, new.deployment)
        if running is not None:
            raise Taken(
                f"deployment {new.deployment!r} is already rolling out {running.candidate[:12]} (rollout {running.id});"
                " wait for its end, or `roadworthy rollout abort` it"
            )
        if stable_of(connection, new.deployment) != new.control:
            raise Taken(f"stable of {new.deployment!r} was moved meanwhile, away from {new.control[:12]}: start again")
        why = taken_back(connection, new, self.registry)
        if why and not override:
            raise Taken(
                f"release {new.candidate[:12]} was rolled back before ({why});"
                " release a changed one, or give `override` a reason, which is recorded"
            )

    def _reading(self) -> Connection:
        return self.state.engine.execution_options(reading=True).connect()


def _check_why(why: str) -> None:
    if not why:
        raise ValueError("`why` must say why this is done by hand, got ''")
