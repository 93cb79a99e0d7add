"""Finding the asset that a file or a mark belongs to."""

from __future__ import annotations

from sqlalchemy import or_, select

from db.asset_types import AssetFile
from db.assets import asset_file
from db.database import Session
from db.tables import asset_files, assets


def files_with_digest(session: Session, digest: str) -> list[tuple[str, AssetFile]]:
    """Return (asset id, file) of the files whose bytes have this digest, as stored or before their manifest."""
    rows = session.execute(
        select(asset_files)
        .where(or_(asset_files.c.digest == digest, asset_files.c.unsigned_digest == digest))
        .order_by(asset_files.c.asset_id, asset_files.c.role)
    )
    return [(row.asset_id, asset_file(row)) for row in rows]


def ids_beginning(session: Session, start: str) -> list[str]:
    """Return the ids of assets that begin so: a range of the primary key."""
    return list(session.execute(select(assets.c.id).where(assets.c.id.between(start, start + "g"))).scalars())


def all_ids(session: Session) -> list[str]:
    """Return the id of every asset."""
    return list(session.execute(select(assets.c.id)).scalars())
