"""Lineages for others: proof bundles, W3C PROV-JSON, OpenLineage events, and a picture of the graph."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from datetime import timedelta
from html import escape
from pathlib import Path
from typing import Any, Final

import httpx

from db.asset_types import Lineage
from db.assets import get_asset, lineage
from flows.errors import FlowError
from flows.provenance.audits import Auditor
from flows.provenance.evidence import asset_entries, gather, write_bundle

_NAMESPACE: Final = "urn:tutti:"
_OPENLINEAGE: Final = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
_PRODUCER: Final = "urn:tutti:0.1"
_ROW: Final = 64
_BOX: Final = (220, 40)


class ExportError(FlowError):
    """A lineage that cannot be written where it was to be."""


class BackendError(FlowError):
    """An OpenLineage backend does not answer, or refuses an event."""


def export_lineage(auditor: Auditor, id_or_prefix: str, form: str, to: Path) -> str:
    """Write an asset's lineage as bundle, prov, openlineage or svg; return the asset's id.

    Raises:
        ExportError: the asset has no proof yet, or the file cannot be written.
        UnknownAssetError: there is no such asset.
    """
    with auditor.backend.database.unit_of_work() as session:
        known = lineage(session, get_asset(session, id_or_prefix).id)
    text = _bundle(auditor, known) if form == "bundle" else _FORMS[form](known)
    try:
        to.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ExportError(f"{to} cannot be written: {error.strerror}") from None
    return known.asset.id


def send_lineage(auditor: Auditor, id_or_prefix: str, url: str) -> str:
    """Send an asset's lineage as OpenLineage events to where a backend takes them; return the asset's id.

    Raises:
        ExportError: the address is none.
        BackendError: the backend does not answer, or refuses an event.
        UnknownAssetError: there is no such asset.
    """
    with auditor.backend.database.unit_of_work() as session:
        known = lineage(session, id_or_prefix)
    for event in openlineage_events(known).splitlines():
        try:
            httpx.post(url, content=event, headers={"Content-Type": "application/json"}).raise_for_status()
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise ExportError(f"{url} is no address: {error}") from None
        except httpx.HTTPError as error:
            raise BackendError(f"{url} does not take the events: {error}") from None
    return known.asset.id


def prov_json(known: Lineage) -> str:
    """Return the lineage as PROV-JSON (W3C member submission)."""
    asset = f"tutti:asset/{known.asset.id}"
    recipe: Mapping[str, Any] = known.recipe
    entities: dict[str, Any] = {
        asset: {"prov:label": known.asset.prompt, "tutti:digest": known.asset.digest, "tutti:kind": known.asset.kind},
        f"tutti:recipe/{known.asset.id}": {"tutti:seed": recipe["seed"], "tutti:prompt": recipe["prompt"]},
    }
    document: dict[str, Any] = {
        "prefix": {"tutti": _NAMESPACE},
        "entity": entities,
        "activity": {},
        "agent": {f"tutti:worker/{known.worker}": {"prov:type": "prov:SoftwareAgent"}},
        "used": {},
        "wasGeneratedBy": {},
        "wasDerivedFrom": {},
        "wasAssociatedWith": {},
        "hadMember": {},
    }
    for edge in known.edges:
        parent = f"tutti:content/{edge.parent}"
        entities[parent] = {"prov:type": f"tutti:{edge.role}"}
        document["wasDerivedFrom"][f"_:d{len(document['wasDerivedFrom'])}"] = {
            "prov:generatedEntity": asset,
            "prov:usedEntity": parent,
        }
    for number, stage in enumerate(known.stages):
        activity = f"tutti:stage/{known.asset.id}/{number}-{stage.stage}"
        ended = stage.started_at + timedelta(seconds=stage.wall_s)
        document["activity"][activity] = {
            "prov:startTime": stage.started_at.isoformat(),
            "prov:endTime": ended.isoformat(),
            "prov:label": stage.stage,
        }
        for digest in (stage.input_digest, stage.output_digest):
            entities.setdefault(f"tutti:content/{digest}", {})
        document["used"][f"_:u{number}"] = {
            "prov:activity": activity,
            "prov:entity": f"tutti:content/{stage.input_digest}",
        }
        document["wasGeneratedBy"][f"_:g{number}"] = {
            "prov:entity": f"tutti:content/{stage.output_digest}",
            "prov:activity": activity,
        }
        document["wasAssociatedWith"][f"_:a{number}"] = {
            "prov:activity": activity,
            "prov:agent": f"tutti:worker/{known.worker}",
        }
    for number, file in enumerate(known.asset.files):
        entities[f"tutti:content/{file.digest}"] = {"prov:label": file.name, "tutti:mediaType": file.media_type}
        document["hadMember"][f"_:m{number}"] = {
            "prov:collection": asset,
            "prov:entity": f"tutti:content/{file.digest}",
        }
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


def openlineage_events(known: Lineage) -> str:
    """Return the lineage as OpenLineage run events, one a line: each stage is a run of a job that is done."""
    lines = []
    for number, stage in enumerate(known.stages):
        ended = stage.started_at + timedelta(seconds=stage.wall_s)
        lines.append(
            json.dumps(
                {
                    "eventType": "COMPLETE",
                    "eventTime": ended.isoformat(),
                    "producer": _PRODUCER,
                    "schemaURL": _OPENLINEAGE,
                    "run": {"runId": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{known.asset.id}/{number}"))},
                    "job": {"namespace": "tutti", "name": f"{known.asset.kind}.{stage.stage}"},
                    "inputs": [{"namespace": "tutti", "name": stage.input_digest}],
                    "outputs": [{"namespace": "tutti", "name": stage.output_digest}],
                }
            )
        )
    return "\n".join(lines) + "\n"


def graph_svg(known: Lineage) -> str:
    """Draw the lineage: what it was made from above, the stages below one another, the files at the bottom."""
    rows: list[list[tuple[str, str]]] = [
        [("recipe", known.asset.id[:12]), *((edge.role, edge.parent[7:19]) for edge in known.edges)],
        *([(stage.stage, f"{stage.wall_s:.2f} s")] for stage in known.stages),
        [("asset", known.asset.digest[7:19])],
        [(file.role, file.digest[7:19]) for file in known.asset.files],
    ]
    width = max(len(row) for row in rows) * (_BOX[0] + 16) + 16
    height = len(rows) * _ROW + 16
    boxes: list[str] = []
    lines: list[str] = []
    above: list[float] = []
    for number, row in enumerate(rows):
        top = 16 + number * _ROW
        step = width / len(row)
        centres = [step * (place + 0.5) for place in range(len(row))]
        lines += [
            f'<path d="M{from_:.0f} {top - _ROW + _BOX[1]} L{to:.0f} {top}" stroke="#888" fill="none"/>'
            for from_ in above
            for to in centres
        ]
        for centre, (name, detail) in zip(centres, row, strict=True):
            boxes.append(
                f'<rect x="{centre - _BOX[0] / 2:.0f}" y="{top}" width="{_BOX[0]}" height="{_BOX[1]}" rx="6" '
                'fill="#fff" stroke="#333"/>'
                f'<text x="{centre:.0f}" y="{top + 17}" text-anchor="middle">{escape(name)}</text>'
                f'<text x="{centre:.0f}" y="{top + 33}" text-anchor="middle" fill="#666">{escape(detail)}</text>'
            )
        above = centres
    title = escape(known.asset.prompt)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        f'font-size="12"><title>{title}</title>{"".join(lines)}{"".join(boxes)}</svg>\n'
    )


def _bundle(auditor: Auditor, known: Lineage) -> str:
    with auditor.backend.database.unit_of_work() as session:
        entries = asset_entries(session, known.asset.id)
        checkpoint, _ = auditor.checkpoint(session)
        if len(entries) != 1 or checkpoint is None or entries[0].index >= checkpoint.head.size:
            raise ExportError(
                f"asset {known.asset.id[:12]} has no proof yet: no signed checkpoint covers it (see `tutti audit`)"
            )
        return write_bundle(gather(session, known, entries[0], checkpoint))


_FORMS: Final[Mapping[str, Callable[[Lineage], str]]] = {
    "prov": prov_json,
    "openlineage": openlineage_events,
    "svg": graph_svg,
}
