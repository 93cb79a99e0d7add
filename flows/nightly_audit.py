"""The flow that audits everything every night: the whole ledger, all objects, and some assets made again."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from prefect import flow

from db.assets import AssetFilter, list_assets
from flows.errors import VerificationError
from flows.keys import load_keys
from flows.patiently import opened
from flows.provenance.audits import Auditor
from flows.provenance.catalogue_audit import audit_catalogue
from flows.provenance.checks import Audit
from flows.provenance.sampling import sample
from flows.provenance.sealing import seal
from flows.services import Backend, Services
from flows.settings import load_settings

_log = logging.getLogger(__name__)


@flow(name="nightly-audit", persist_result=False)
async def nightly_audit(reproduce: int = 3) -> dict[str, Any]:
    """Audit everything, and make a sample of assets again.

    Args:
        reproduce: how many; others each night.

    Returns:
        The verdicts: of everything, and of each asset that was made again.

    Raises:
        VerificationError: an audit failed; the message names what was found.
    """
    services = Services(load_settings())

    def run() -> dict[str, Any]:
        with opened(services) as backend:
            return audit_all(services, backend, reproduce)

    return await asyncio.to_thread(run)


def audit_all(services: Services, backend: Backend, reproduce: int) -> dict[str, Any]:
    """Audit everything and a sample; see `nightly_audit`.

    Raises:
        VerificationError: an audit failed.
    """
    checkpoint = seal(services, backend)
    keys = load_keys(services.settings)
    auditor = Auditor(settings=services.settings, backend=backend, keys=keys)
    everything = audit_catalogue(auditor, None)
    with backend.database.unit_of_work() as session:
        ids = [asset.id for asset in list_assets(session, AssetFilter(limit=None, withdrawn=True))]
    root = checkpoint.head.root if checkpoint is not None else b""
    again = Auditor(settings=services.settings, backend=backend, keys=keys, reproduce=True)
    audits = {asset_id: again.audit_asset(asset_id) for asset_id in sample(ids, reproduce, root)}
    failed = [_told(each) for each in (everything, *audits.values()) if each.verdict == "failed"]
    if failed:
        raise VerificationError("; ".join(failed))
    return {"everything": everything.verdict, "made_again": {key: each.verdict for key, each in audits.items()}}


def _told(audit: Audit) -> str:
    wrong = ", ".join(f"{check.name}: {check.detail}" for check in audit.checks if check.ok is False)
    _log.error("the audit of %s failed: %s", audit.subject, wrong)
    return f"{audit.subject}: {wrong}"
