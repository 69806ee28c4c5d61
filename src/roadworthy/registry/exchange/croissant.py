"""Data cards: a project's tables described in Croissant, the JSON-LD of MLCommons for data sets."""

from __future__ import annotations

import importlib
import json
import logging
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from roadworthy.core.errors import BadData, SpecError, nearest
from roadworthy.core.spec import Spec
from roadworthy.registry.exchange.table_facts import Column, Table, Type, digest_of, tables_of

CONFORMS_TO = "http://mlcommons.org/croissant/1.0"
RAI = "http://mlcommons.org/croissant/RAI/1.0"
_TYPES: Mapping[Type, str] = {
    "number": "sc:Float",
    "integer": "sc:Integer",
    "text": "sc:Text",
    "boolean": "sc:Boolean",
    "time": "sc:DateTime",
    "date": "sc:Date",
    "numbers": "sc:Float",
}
_MIME = {".csv": "text/csv", ".parquet": "application/x-parquet"}
# What somebody may know of the data and no count tells (Croissant RAI 1.0).
NOTES = (
    "dataCollection",
    "dataBiases",
    "dataLimitations",
    "dataSocialImpact",
    "dataAnnotationProtocol",
    "dataPreprocessingProtocol",
    "dataReleaseMaintenancePlan",
    "personalSensitiveInformation",
)
_CONTEXT: Mapping[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def write_data_card(
    spec: Spec,
    path: Path,
    *,
    licence: str = "",
    citation: str = "",
    url: str = "",
    notes: Mapping[str, str] | None = None,
) -> bool:
    """Write the card of the project's tables, whose files it names relative to its own folder.

    Checked by `mlcroissant` where that is installed (then True). Raises SpecError or BadData, and leaves no file then.
    """
    card = data_card(spec, tables_of(spec), path.parent, licence=licence, citation=citation, url=url, notes=notes)
    beside = path.with_name(f".{path.name}.part.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        beside.write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        checked = checked_by_library(beside)
        beside.replace(path)
    except OSError as refused:
        raise BadData(f"cannot write the card {str(path)!r}: {refused}") from refused
    finally:
        beside.unlink(missing_ok=True)
    return checked


def data_card(
    spec: Spec,
    tables: Sequence[Table],
    folder: Path,
    *,
    licence: str = "",
    citation: str = "",
    url: str = "",
    notes: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The card of these tables, with what was counted and what is given; what nobody said is left out."""
    for note in notes or {}:
        if note not in NOTES:
            raise SpecError(f"a data card has no note {note!r}{nearest(note, NOTES)} (known: {', '.join(NOTES)})")
    asked = spec.application
    about = f"The tables of {asked.name}. {asked.meaning}".strip()
    given = {"license": licence, "citeAs": citation, "url": url}
    return {
        "@context": dict(_CONTEXT),
        "@type": "sc:Dataset",
        "conformsTo": [CONFORMS_TO, RAI],
        "name": _plain(asked.name),
        "description": about,
        **{name: text for name, text in given.items() if text},
        **_counted(tables),
        **{f"rai:{name}": text for name, text in (notes or {}).items()},
        "distribution": [_file(table, folder) for table in tables],
        "recordSet": [_splits(tables), *(_records(table) for table in tables)],
    }


def checked_by_library(path: Path) -> bool:
    """Whether `mlcroissant` is there and finds nothing wrong with the card. Raises BadData with what it says."""
    log = logging.getLogger("absl")
    before = log.level
    with warnings.catch_warnings():
        # It, and what it brings along, warns of its own imports, and of what is recommended but not known.
        warnings.simplefilter("ignore")
        log.setLevel(logging.ERROR)
        try:
            library = importlib.import_module("mlcroissant")
            library.Dataset(jsonld=str(path))
        except ImportError:
            return False
        except Exception as wrong:  # of many kinds: it checks little before it reads
            raise BadData(f"{str(path)!r} is no card that mlcroissant can read: {wrong!r}") from wrong
        finally:
            log.setLevel(before)
    return True


def check_data_card(path: Path) -> tuple[str, ...]:
    """What a card says that is no longer so: files gone, or of other bytes. Raises BadData for a broken card."""
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        files = [(path.parent / one["contentUrl"], str(one["sha256"])) for one in card["distribution"]]
    except FileNotFoundError as gone:
        raise BadData(f"no data card {str(path)!r}: write it with `roadworthy export croissant`") from gone
    except (ValueError, KeyError, TypeError) as wrong:
        raise BadData(f"{str(path)!r} is no Croissant card ({wrong!r}): write it anew") from wrong
    checked_by_library(path)
    return tuple(fault for file, digest in files if (fault := _fault(file, digest)))


def _fault(file: Path, digest: str) -> str:
    if not file.is_file():
        return f"{str(file)!r} is gone"
    found = digest_of(file)
    return (
        ""
        if found == digest
        else f"{str(file)!r} has changed: its SHA-256 is {found[:12]}…, the card says {digest[:12]}…"
    )


def _counted(tables: Sequence[Table]) -> dict[str, Any]:
    """What the counts tell of the data as a whole: when it is from, and where values are missing."""
    times = sorted(moment for table in tables for moment in (table.since, table.until) if moment)
    missing = [
        f"{table.name}: {', '.join(f'{c.name} {c.nulls / c.rows:.2%}' for c in table.columns if c.nulls)}"
        for table in tables
        if any(column.nulls for column in table.columns)
    ]
    found: dict[str, Any] = {"rai:dataCollectionTimeFrame": [times[0], times[-1]]} if times else {}
    told = f"Shares of rows without a value. {'; '.join(missing)}." if missing else "No value is missing."
    return found | {"rai:dataCollectionMissingData": told}


def _file(table: Table, folder: Path) -> dict[str, Any]:
    if table.file.suffix not in _MIME:
        raise SpecError(f"{str(table.file)!r} must be called {' or '.join(_MIME)} for others to know how to read it")
    return {
        "@type": "cr:FileObject",
        "@id": f"{table.name}-file",
        "name": table.file.name,
        "description": f"{table.meaning[:1].upper()}{table.meaning[1:]}; {table.rows:,} rows.",
        "contentUrl": Path(os.path.relpath(table.file, folder)).as_posix(),
        "contentSize": f"{table.bytes} B",
        "encodingFormat": _MIME[table.file.suffix],
        "sha256": table.sha256,
    }


def _records(table: Table) -> dict[str, Any]:
    ids = _ids(table)
    times = f", from {table.since} to {table.until}" if table.since else ""
    key = {"key": {"@id": ids[table.row_id]}} if table.row_id in ids else {}
    return {
        "@type": "cr:RecordSet",
        "@id": table.name,
        "name": table.name,
        "description": f"{table.rows:,} rows: {table.meaning}{times}.",
        **key,
        "field": [_field(column, ids[column.name], table) for column in table.columns],
    }


def _field(column: Column, place: str, table: Table) -> dict[str, Any]:
    # A whole number that may be null comes out of most readers as a float.
    kind = "number" if column.type == "integer" and column.nulls else column.type
    return {
        "@type": "cr:Field",
        "@id": place,
        "name": column.name,
        "description": column.told(),
        "dataType": _TYPES[kind],
        **({"repeated": True} if column.type == "numbers" else {}),
        "source": {"fileObject": {"@id": f"{table.name}-file"}, "extract": {"column": column.name}},
    }


def _splits(tables: Sequence[Table]) -> dict[str, Any]:
    """The record set in which Croissant lists the parts of the data."""
    rows = [{"splits/name": table.name, "splits/meaning": table.meaning} for table in tables]
    columns = [
        {"@type": "cr:Field", "@id": f"splits/{name}", "name": name, "description": told, "dataType": "sc:Text"}
        for name, told in (("name", "the part, which is a record set of this name"), ("meaning", "what it is for"))
    ]
    return {
        "@type": "cr:RecordSet",
        "@id": "splits",
        "name": "splits",
        "description": "The parts of the data.",
        "dataType": "cr:Split",
        "key": {"@id": "splits/name"},
        "field": columns,
        "data": rows,
    }


def _ids(table: Table) -> dict[str, str]:
    """A name for each column that may stand in an address; two that look alike there get a number."""
    found: dict[str, str] = {}
    for column in table.columns:
        place, k = f"{table.name}/{_plain(column.name)}", 2
        while place in found.values():
            place, k = f"{table.name}/{_plain(column.name)}_{k}", k + 1
        found[column.name] = place
    return found


def _plain(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", name)
