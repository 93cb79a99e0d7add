"""What the mark, the manifests and the ledger cost of the making, on assets of the home that TUTTI_HOME names.

Some assets of each model are made again in this process, then marked and signed; all times are processor time. What
an entry of the ledger costs is bench.ledger's to say; a run signs one checkpoint at its end.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch

from actors.factory import GeneratorFactory
from actors.marking.marker import Marker, MarkingSpec
from bench.support import finish, parser, show
from db.asset_types import Lineage
from db.assets import AssetFilter, lineages, list_assets
from flows.keys import Keys, load_keys
from flows.provenance.sealing import seal
from flows.services import Services
from flows.settings import Settings, load_settings
from models.generator import Product
from models.making import make_all
from models.registry import find_version


def shares(known: Sequence[Lineage], settings: Settings, keys: Keys) -> dict[str, Any]:
    """Make assets of one model again, mark and sign them; return what each took."""
    model = known[0].asset
    version = find_version(f"{model.model_name}@{model.model_digest}", [settings.model_folder])
    generator = GeneratorFactory(
        loader=settings.generator, version=version, device="cpu", dtype="float32", slots=settings.slots, threads=1
    )()
    began = time.process_time()
    made = dict(make_all(generator, {each.asset.id: each.recipe for each in known}))
    making_s = time.process_time() - began
    row: dict[str, Any] = {"model": version.name, "assets": len(known), "making_s": making_s}
    for name, spec in (
        ("mark", MarkingSpec(watermark_key=keys.watermark, identity=None)),
        ("sign", MarkingSpec(watermark_key=None, identity=keys.manifests)),
    ):
        marker = Marker(spec)
        began = time.process_time()
        for each in known:
            product = made[each.asset.id]
            assert isinstance(product, Product), product
            marker.finish(each.asset.id, each.recipe, product)
        took_s = time.process_time() - began
        row |= {f"{name}_s": took_s, f"{name}_share": took_s / making_s}
    return row


def main() -> None:
    """Make some assets of every model again, mark and sign them."""
    options = parser(__doc__)
    options.add_argument("--assets", type=int, default=4, help="of each model")
    given = options.parse_args()
    torch.set_num_threads(1)
    services = Services(load_settings())
    settings, keys = services.settings, load_keys(services.settings)
    rows: list[dict[str, Any]] = []
    with services.open() as backend:
        with backend.database.unit_of_work() as session:
            found = list_assets(session, AssetFilter(limit=None, withdrawn=True))
        for digest in sorted({each.model_digest for each in found}):
            with backend.database.unit_of_work() as session:
                some = [each for each in found if each.model_digest == digest][: given.assets]
                known = lineages(session, some)
            rows.append(shares(known, settings, keys))
        began = time.process_time()
        seal(services, backend)
        checkpoint_s = time.process_time() - began
    show([{k: f"{v:.2%}" if k.endswith("share") else v for k, v in row.items()} for row in rows])
    print(f"a checkpoint: {checkpoint_s * 1e3:.1f} ms")
    finish("marking", {"rows": rows, "checkpoint_s": checkpoint_s}, as_json=given.json)


if __name__ == "__main__":
    main()
