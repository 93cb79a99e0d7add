"""A small installation in this process: a database, objects, keys, and assets with sound made by a bare worker."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path

from marking_sounds import encoded, tones
from sqlalchemy import text

from actors.marking.marker import Marker
from actors.worker import PullWorker, WorkerOptions, new_owner
from db.assets import AssetFilter, list_assets
from db.checkpoints import sign_checkpoint
from db.database import Database, connect
from db.model_versions import NewModelVersion, register_version
from db.objects import ObjectStore, open_objects
from db.planning import PlannedRecipe, plan_run
from db.records import FolderRecords
from db.runs import NewRun, new_run_id
from flows.keys import Keys, load_keys, marking_spec
from flows.provenance.audits import Auditor
from flows.recipe import ModelIdentity, RecipeWriter
from flows.services import Backend
from flows.settings import Settings
from models.generator import ProductFile
from models.weights import ModelVersion, write_version

SUPPORT = Path(__file__).parent / "integration" / "support"
sys.path.insert(0, str(SUPPORT))

from tiny_generator import TinyGenerator  # noqa: E402

CARD = """---
name: tiny
kind: score
training_data:
  manifest: sha256:0000
  collections:
  - {name: nothing, licence: CC0-1.0}
---
"""


class SoundingGenerator(TinyGenerator):
    """Makes a sound besides, that depends on the recipe's seed."""

    def finish(self, drafted):
        product = super().finish(drafted)
        wave = tones(6.0, seed=drafted["seed"])
        sound = ProductFile(
            role="preview", name="preview.flac", media_type="audio/flac", data=encoded(wave, format="FLAC")
        )
        codes = ProductFile(role="codes", name="codes.json", media_type="application/json", data=b"[1]")
        return replace(product, files=(*product.files, codes, sound))


def load(version, *, device, dtype, slots, threads):
    """Have the signature of models.registry.load_generator."""
    return SoundingGenerator(slots)


def load_as_told(version, *, device, dtype, slots, threads):
    """Load a generator whose profile has the dtype it was loaded with."""
    generator = SoundingGenerator(slots)
    generator.profile = replace(generator.profile, dtype=dtype)
    return generator


@dataclass
class Place:
    """What the tests work on."""

    database: Database
    objects: ObjectStore
    settings: Settings
    keys: Keys
    model: ModelVersion

    def make(self, *seeds, catalogue="study", prompt="slow piano"):
        """Make assets and sign the ledger; return them by seed."""
        identity = ModelIdentity("tiny", self.model.digest, "score")
        writer = RecipeWriter(identity, duration_s=6.0, controls={})
        recipes = [writer.write(prompt, seed) for seed in seeds]
        planned = (
            PlannedRecipe(r.id, "score", self.model.digest, r.prompt, r.seed, r.duration_s, r.body) for r in recipes
        )
        run = NewRun(new_run_id(), catalogue, {}, "sha256:00")
        plan_run(self.database, run, planned)
        worker = PullWorker(
            WorkerOptions(run_id=run.id, poll_s=0.05),
            self.database,
            self.objects,
            SoundingGenerator,
            new_owner(),
            Marker(marking_spec(self.settings)),
        )
        assert worker.run().made == len(seeds)
        self.seal()
        with self.database.unit_of_work() as session:
            return {asset.seed: asset for asset in list_assets(session, AssetFilter(run_id=run.id))}

    def seal(self):
        places = [self.objects.records, FolderRecords(self.settings.checkpoint_folder)]
        with self.database.unit_of_work() as session:
            return sign_checkpoint(session, self.keys.log, places)

    def auditor(self, **changes):
        backend = Backend(self.database, self.objects)
        return Auditor(settings=self.settings, backend=backend, keys=self.keys, **changes)

    def data(self, asset, role):
        return self.objects.get(next(file.digest for file in asset.files if file.role == role))

    def object_path(self, asset, role):
        return Path(self.objects.locate(next(file.digest for file in asset.files if file.role == role)))

    def force(self, statement, **parameters):
        """Change rows as a superuser can, whom triggers do not stop."""
        with self.database.unit_of_work() as session:
            session.execute(text("SET LOCAL session_replication_role = replica"))
            session.execute(text(statement), parameters)


def new_place(databases, home):
    settings = Settings(home=home, generator="sounding:load", slots=4)
    model = write_version(home / "models" / "tiny", *tiny_files())
    database = connect(databases.migrated())
    with database.unit_of_work() as session:
        card = {"name": "tiny", "training_data": dict(model.card["training_data"])}
        register_version(session, NewModelVersion(model.digest, "tiny", "score", dict(model.config), card))
    return Place(database, open_objects(home / "objects"), settings, load_keys(settings), model)


def tiny_files():
    import torch

    return {"w": torch.zeros(1)}, {"name": "tiny", "kind": "score", "architecture": "tiny"}, CARD


def checks(audit):
    """Return the checks of an audit by name."""
    return {check.name: check for check in audit.checks}
