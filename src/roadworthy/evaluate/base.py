"""The kinds of leaves that a gap is measured with: what spoils, mends, strains, arrives, claims and scores."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from msgspec import Struct

from roadworthy.core.catalog import Catalog
from roadworthy.core.measure import Claim, Measurement
from roadworthy.core.sample import Sample
from roadworthy.core.spec import Task

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Corruption(Protocol):
    """Returns a spoilt copy: severity 0 is the identity, 1 the worst seen, the same rng gives the same rows.

    Labels, times, ids and tags are left alone. A sample without the columns that it spoils comes back unchanged. A
    `called` names it for people, and a class attribute `label_preserving` of False says that a spoilt row may mean
    something else.
    """

    def __call__(self, sample: Sample, severity: float, rng: np.random.Generator) -> Sample: ...


class Repair(Protocol):
    """Returns a mended copy, by what is normal in `lab`; a sample with nothing to mend comes back unchanged.

    Row by row: what one row becomes does not depend on the others, so that it could run in front of the model. Its
    `plan(lab)` is what stands under `preprocessing` of the project file to have it run there; None where nothing can.
    """

    def __call__(self, sample: Sample, lab: Sample) -> Sample: ...


class Metric(Protocol):
    """Labels and answers become a Measurement; n=0 gives one with n=0. `tasks` says for which tasks.

    binary: `labels` (n,) in {0, 1}, `answers` (n,) probabilities. multiclass: class numbers (n,), probabilities (n, k).
    regression: numbers (n,) both. generation: text (n,) both. `best` is what perfect answers score, 1 where more is
    better, 0 where less is; None where nothing is best.
    """

    tasks: ClassVar[tuple[Task, ...]]
    best: ClassVar[float | None]

    def __call__(self, labels: NDArray[Any], answers: NDArray[Any], where: str = "") -> Measurement: ...


class Case(Struct, frozen=True):
    """Rows at the edge of what a model takes, and what is right to do with them: answer, refuse, or either of both."""

    name: str
    rows: Sample
    right: Literal["answer", "refuse", "either"] = "either"


class Edge(Protocol):
    """Cases made out of ordinary rows; none where the sample has no column of its kind."""

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Iterable[Case]: ...


class Arrivals(Protocol):
    """When requests are due: seconds from the start (n,), in order, below `seconds`, `rate` a second on average."""

    def __call__(self, rate: float, seconds: float, rng: np.random.Generator) -> NDArray[np.float64]: ...


class ClaimFormat(Protocol):
    """Reads the claims of one kind of file, None where it is of another. Raises BadData for a torn one."""

    def __call__(self, path: Path) -> Sequence[Claim] | None: ...


corruption: Catalog[Corruption] = Catalog("corruption", "roadworthy.evaluate.corruptions")
repair: Catalog[Repair] = Catalog("repair", "roadworthy.evaluate.repairs")
metric: Catalog[Metric] = Catalog("metric", "roadworthy.evaluate.metrics")
edge: Catalog[Edge] = Catalog("edge", "roadworthy.evaluate.edges")
arrivals: Catalog[Arrivals] = Catalog("arrivals", "roadworthy.evaluate.arrivals")
claims: Catalog[ClaimFormat] = Catalog("claims", "roadworthy.evaluate.claims")
