"""What marking and signing cost of the making, from the stages' times in the home that TUTTI_HOME names.

The stage "mark" sets the watermark, encodes the waveforms anew and signs all manifests. What the ledger costs is
measured beside it: an entry is appended in the transaction that records its asset, and each run signs one checkpoint.
"""

from __future__ import annotations

import time
from collections import defaultdict
from typing import Any

from actors.marking.marker import MARK_STAGE
from bench.support import finish, parser, show
from db.assets import AssetFilter, lineages, list_assets
from flows.provenance.sealing import seal
from flows.services import Services
from flows.settings import load_settings


def main() -> None:
    """Add up the stages of every kind of asset."""
    options = parser(__doc__)
    options.add_argument("--catalogue", help="of the home; all if it is not given")
    given = options.parse_args()
    services = Services(load_settings())
    with services.open() as backend:
        with backend.database.unit_of_work() as session:
            found = list_assets(session, AssetFilter(catalogue=given.catalogue, limit=None, withdrawn=True))
            made = lineages(session, found)
        took_s: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        counts: dict[str, int] = defaultdict(int)
        for each in made:
            counts[each.asset.model_name] += 1
            for stage in each.stages:
                took_s[each.asset.model_name][stage.stage] += stage.wall_s
        began = time.process_time()
        seal(services, backend)
        sealing_s = time.process_time() - began
    rows: list[dict[str, Any]] = [
        {
            "model": model,
            "assets": counts[model],
            "stages_s": sum(stages.values()),
            "marking_s": stages[MARK_STAGE],
            "share": stages[MARK_STAGE] / (sum(stages.values()) - stages[MARK_STAGE]),
        }
        for model, stages in took_s.items()
    ]
    show([{**row, "share": f"{row['share']:.2%}"} for row in rows])
    print(f"a checkpoint: {sealing_s * 1e3:.1f} ms of own processor time")
    finish("marking", {"rows": rows, "checkpoint_cpu_s": sealing_s}, as_json=given.json)


if __name__ == "__main__":
    main()
