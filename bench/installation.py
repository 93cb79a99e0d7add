"""An installation in this process: database, objects, keys, and assets made by a worker without Ray.

Its model is score-small under another name, signed with the home's own key, so that its files can be damaged.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import text

from actors.factory import GeneratorFactory
from actors.marking.marker import Marker
from actors.worker import PullWorker, WorkerOptions, new_owner
from bench.support import temporary_database, temporary_home
from db.assets import Asset, AssetFilter, list_assets
from db.checkpoints import sign_checkpoint
from db.database import Database
from db.objects import LocalObjects
from db.planning import PlannedRecipe, plan_run
from db.records import FolderRecords
from db.runs import NewRun, new_run_id
from flows.keys import Keys, load_keys, marking_spec
from flows.provenance.audits import Auditor
from flows.recipe import ModelIdentity, RecipeWriter
from flows.services import Backend
from flows.settings import Settings
from models.registry import SHIPPED
from models.signing import sign_version
from models.weights import ModelVersion, folder_name, read_version

MODEL: Final = "score-bench"


@dataclass(frozen=True, slots=True)
class Installation:
    """What is measured on."""

    home: Path
    database: Database
    objects: LocalObjects
    keys: Keys
    model: ModelVersion

    @property
    def settings(self) -> Settings:
        """The settings of its home."""
        return Settings(home=self.home, slots=4)

    def make(self, prompts: Sequence[str], duration_s: float = 4.0, catalogue: str = "bench") -> list[Asset]:
        """Make an asset for each prompt, and sign the ledger."""
        writer = RecipeWriter(
            ModelIdentity(self.model.name, self.model.digest, "score"), duration_s=duration_s, controls={}
        )
        recipes = [writer.write(prompt, seed) for seed, prompt in enumerate(prompts)]
        planned = [
            PlannedRecipe(r.id, "score", self.model.digest, r.prompt, r.seed, r.duration_s, r.body) for r in recipes
        ]
        run = NewRun(new_run_id(), catalogue, {}, "sha256:00")
        plan_run(self.database, run, planned)
        factory = GeneratorFactory(
            loader=self.settings.generator, version=self.model, device="cpu", dtype="float32", slots=4, threads=1
        )
        options = WorkerOptions(run_id=run.id, lease_s=600.0)
        marker = Marker(marking_spec(self.settings))
        made = PullWorker(options, self.database, self.objects, factory, new_owner(), marker).run().made
        if made != len(prompts):
            raise RuntimeError(f"{made} of {len(prompts)} were made")
        self.seal()
        with self.database.unit_of_work() as session:
            return list_assets(session, AssetFilter(run_id=run.id, limit=None))

    def seal(self) -> None:
        """Sign the ledger as it is."""
        places = [self.objects.records, FolderRecords(self.settings.checkpoint_folder)]
        with self.database.unit_of_work() as session:
            sign_checkpoint(session, self.keys.log, places)

    def auditor(self) -> Auditor:
        """Return who audits it."""
        return Auditor(settings=self.settings, backend=Backend(self.database, self.objects), keys=self.keys)

    def force(self, statement: str, **parameters: Any) -> None:
        """Change rows as a superuser can, whom triggers do not stop."""
        with self.database.unit_of_work() as session:
            session.execute(text("SET LOCAL session_replication_role = replica"))
            session.execute(text(statement), parameters)


@contextmanager
def temporary_installation() -> Iterator[Installation]:
    """Start an installation, and remove it."""
    with temporary_home() as home:
        settings = Settings(home=home)
        keys = load_keys(settings)
        version = _own_model(settings.model_folder, keys)
        identity = ModelIdentity(version.name, version.digest, version.kind)
        with temporary_database(home, identity) as database:
            yield Installation(home, database, LocalObjects(home / "objects"), keys, version)


def _own_model(folder: Path, keys: Keys) -> ModelVersion:
    partial = folder / "new"
    shutil.copytree(SHIPPED / "score-small", partial)
    (partial / "model.sig").unlink()
    config: Mapping[str, Any] = json.loads((partial / "config.json").read_text(encoding="utf-8"))
    (partial / "config.json").write_text(json.dumps({**config, "name": MODEL}), encoding="utf-8")
    target = folder / folder_name(read_version(partial))
    partial.rename(target)
    version = read_version(target)
    sign_version(version, keys.models)
    return version


@contextmanager
def changed(path: Path, change: Callable[[bytes], bytes]) -> Iterator[None]:
    """Change a file for the length of the block."""
    whole, mode = path.read_bytes(), path.stat().st_mode
    path.chmod(0o644)
    path.write_bytes(change(whole))
    try:
        yield
    finally:
        path.write_bytes(whole)
        path.chmod(mode)
