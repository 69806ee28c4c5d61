"""Census income (UCI Adult) as the lab cleaned it and as its files arrive, with what repairs bring back.

The lab trained on categories without blanks. The files begin each of them with one, and their test labels end in ".":
two faults that nobody planted.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from roadworthy.core.errors import BadData
from roadworthy.core.measure import Measurement
from roadworthy.core.sample import Sample
from roadworthy.core.spec import Field
from roadworthy.core.stats import auc
from roadworthy.evaluate.base import Corruption, Repair
from roadworthy.evaluate.corruptions.missing import Missing
from roadworthy.evaluate.corruptions.noise import Noise
from roadworthy.evaluate.corruptions.null_column import NullColumn
from roadworthy.evaluate.corruptions.respelt import Respelt
from roadworthy.evaluate.corruptions.sentinel import Sentinel as Sentinels
from roadworthy.evaluate.corruptions.swapped import Swapped
from roadworthy.evaluate.corruptions.unit import Unit
from roadworthy.evaluate.repairs.clip import Clip
from roadworthy.evaluate.repairs.impute import Impute
from roadworthy.evaluate.repairs.sentinel import Sentinel
from roadworthy.evaluate.repairs.vocabulary import Vocabulary

NUMBERS = ("age", "fnlwgt", "education_num", "capital_gain", "capital_loss", "hours_per_week")
NAMES = (
    *("age", "workclass", "fnlwgt", "education", "education_num", "marital_status", "occupation", "relationship"),
    *("race", "sex", "capital_gain", "capital_loss", "hours_per_week", "native_country"),
)
RICH = ">50K"

Model = Callable[[Sample], NDArray[np.float64]]


@dataclass(frozen=True)
class Fault:
    """A fault of a pipeline, the AUC that was noted for it before, and what a person would propose for it."""

    name: str
    spoil: Corruption
    noted: float | None
    repairs: tuple[Repair, ...] = ()


FAULTS = (
    Fault("10 % of values missing", Missing(share=0.1), 0.9159, (Impute(),)),
    Fault("age in months", Unit(("age",), scale=12), 0.9153, (Clip(("age",)),)),
    Fault("99999 in 10 % of capital gains", Sentinels(("capital_gain",), share=0.1), 0.8661, (Sentinel(),)),
    Fault("99999 in 10 % of ages", Sentinels(("age",), share=0.1), None, (Sentinel(), Impute())),
    Fault("categories in upper case", Respelt(form="upper"), 0.8702, (Vocabulary(),)),
    Fault("years of school and hours swapped", Swapped(("education_num", "hours_per_week")), 0.8996),
    Fault("no capital gains", NullColumn("capital_gain"), 0.9002, (Impute(),)),
    Fault("10 % noise", Noise(strength=0.1, relative=True), 0.8898),
)


def read_adult(path: Path, cleaned: bool) -> Sample:
    """The rows of a file, as they are or `cleaned` of the blanks around categories.

    `labels` are 1 for more than 50K; `targets` are the label texts as the file has them, " >50K." among the test rows.
    """
    rows = [line.split(",") for line in path.read_text().splitlines() if line.count(",") == len(NAMES)]
    if not rows:
        raise BadData(f"{str(path)!r} has no row of {len(NAMES) + 1} values: it is not the file of UCI Adult")
    raw = np.array(rows, dtype=object)
    columns: dict[str, NDArray[Any]] = {}
    for place, name in enumerate(NAMES):
        values = raw[:, place]
        texts = np.array([v.strip() for v in values], dtype=object) if cleaned else values
        columns[name] = values.astype(np.float64) if name in NUMBERS else texts
    labels = np.array([RICH in text for text in raw[:, -1]], dtype=np.float64)
    fields = {name: Field("number" if name in NUMBERS else "category") for name in NAMES}
    return Sample(columns, labels, source=str(path), fields=fields, targets=raw[:, -1])


def trained(lab: Sample) -> Model:
    """Gradient-boosted trees on the lab's rows; a category that they do not know is null to them."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.preprocessing import OrdinalEncoder

    words = [name for name in NAMES if name not in NUMBERS]

    def table(sample: Sample, names: Sequence[str]) -> NDArray[Any]:
        return np.column_stack([sample.columns[name] for name in names])

    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan, encoded_missing_value=np.nan)
    codes.fit(table(lab, words))
    trees = HistGradientBoostingClassifier(random_state=0)
    trees.fit(np.hstack([table(lab, NUMBERS), codes.transform(table(lab, words))]), lab.labels)

    def answer(sample: Sample) -> NDArray[np.float64]:
        coded = codes.transform(table(sample, words))
        return np.asarray(trees.predict_proba(np.hstack([table(sample, NUMBERS), coded]))[:, 1])

    return answer


def measured(name: str, model: Model, sample: Sample, where: str = "") -> Measurement:
    """The AUC of a model on a sample, with its interval, under a name of its own."""
    assert sample.labels is not None
    return msgspec.structs.replace(auc(sample.labels, model(sample), where), name=name)


def as_delivered(data: Path) -> list[Measurement]:
    """The AUC in the lab, on the test file as it arrives, and on that after the proposed repair."""
    lab = read_adult(data / "adult-train.csv", cleaned=True)
    model, arrived = trained(lab), read_adult(data / "adult-test.csv", cleaned=False)
    clean = read_adult(data / "adult-test.csv", cleaned=True)
    return [
        measured("adult_clean_auc", model, clean),
        measured("adult_delivered_auc", model, arrived),
        measured("adult_repaired_auc", model, Vocabulary()(arrived, lab)),
    ]


def faults(data: Path, seed: int = 0) -> list[tuple[Fault, Measurement, Measurement]]:
    """Each fault with the AUC under it, and that after its repairs one after the other."""
    lab = read_adult(data / "adult-train.csv", cleaned=True)
    model, clean = trained(lab), read_adult(data / "adult-test.csv", cleaned=True)
    found = []
    for fault in FAULTS:
        spoilt = fault.spoil(clean, 1.0, np.random.default_rng(seed))
        mended = spoilt
        for mend in fault.repairs:
            mended = mend(mended, lab)
        before = measured("adult_fault_auc", model, spoilt, fault.name)
        found.append((fault, before, measured("adult_fault_repaired_auc", model, mended, fault.name)))
    return found


def main() -> None:
    """Print both tables and, last, one JSON line of Measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder with tabular/adult-train.csv, ...")
    data = parser.parse_args().data / "tabular"
    delivered, spoilt = as_delivered(data), faults(data)
    table = Table("fault", "noted", "measured", "repaired by", "repaired")
    for found in delivered:
        table.add_row(found.name, "", f"{found.value:.4f}", "", "")
    for fault, before, after in spoilt:
        by = ", ".join(type(mend).__name__.lower() for mend in fault.repairs) or "nothing known"
        noted = "" if fault.noted is None else f"{fault.noted:.4f}"
        table.add_row(fault.name, noted, f"{before.value:.4f}", by, f"{after.value:.4f}" if fault.repairs else "")
    Console(width=120).print(table)
    every = [*delivered]
    for fault, before, after in spoilt:
        every += [before, after] if fault.repairs else [before]
    print(msgspec.json.encode(every).decode())


if __name__ == "__main__":
    main()
