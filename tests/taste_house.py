"""A small installation in this process for playlists: a catalogue with places in a joint space, and listeners."""

import io
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
import soundfile
import tiny_musiclm

from actors.marking.marker import Marker
from actors.worker import PullWorker, WorkerOptions, new_owner
from db.assets import AssetFile, Maker, NewAsset, record_assets
from db.content_vectors import Content, record_content
from db.database import Database, connect
from db.listeners import Event, add_listener, record_events
from db.model_versions import register_version
from db.objects import ObjectStore, open_objects
from db.planning import PlannedRecipe, plan_run
from db.runs import NewRun, new_run_id
from db.work import claim
from flows.keys import load_keys, marking_spec
from flows.model_choice import registration
from flows.playlists.night import NightWork
from flows.recipe import ModelIdentity, RecipeWriter
from flows.services import Backend, Services
from flows.settings import Settings
from models.registry import load_generator
from models.weights import ModelVersion

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)  # before it all was heard
SOUNDS = ("piano", "rain", "strings", "drums")
WIDTH = 16


@dataclass
class House:
    """What the tests work on."""

    database: Database
    objects: ObjectStore
    settings: Settings
    model: ModelVersion

    @property
    def backend(self):
        return Backend(self.database, self.objects)

    def work(self, licences=None, **changes):
        """The steps of a night, with some settings changed."""
        services = Services(self.settings.model_copy(update=changes))
        return NightWork(services, self.backend, licences=licences)

    def stock(self, count, start=0):
        """Put assets on the shelf, of each sound in turn, with a file each and a place in the space; return ids."""
        numbers = range(start, start + count)
        identity = ModelIdentity(self.model.name, self.model.digest, "soundscape")
        writer = RecipeWriter(identity, duration_s=5.0, controls={})
        recipes = [writer.write(f"{SOUNDS[n % len(SOUNDS)]} number {n // len(SOUNDS)}", n) for n in numbers]
        run = NewRun(new_run_id(), "stock", {"model": self.model.reference}, "sha256:00")
        planned = (
            PlannedRecipe(r.id, "soundscape", self.model.digest, r.prompt, r.seed, r.duration_s, r.body)
            for r in recipes
        )
        plan_run(self.database, run, planned)
        with self.database.unit_of_work() as session:
            claims = claim(session, run.id, "stock", count, 60)
            made = [self._asset(each) for each in claims]
            record_assets(session, Maker("stock", "0.1.0", {"device": "cpu"}), made)
            places = [self._content(recipe.id, recipe.seed) for recipe in recipes]
            record_content(session, self.model.digest, places)
        return [recipe.id for recipe in recipes]

    def _asset(self, claimed):
        data = sound(claimed.body["seed"])
        digest = self.objects.put(data)
        file = AssetFile("waveform", "audio.flac", digest, "audio/flac", len(data))
        return NewAsset(claimed.recipe_id, claimed.attempt, digest, 1.0, {}, (file,), ())

    def _content(self, asset_id, number):
        random = np.random.default_rng(number)
        vector = np.eye(len(SOUNDS), WIDTH)[number % len(SOUNDS)] + 0.1 * random.standard_normal(WIDTH)
        vector = (vector / np.linalg.norm(vector)).astype(np.float32)
        return Content(asset_id, vector, float(60 + number % 90), "C major", float(number % 5))

    def listener(self, name, *, hears=(), kind="completed", time_zone="UTC", sentence=None):
        """Add a listener who heard these assets, two months before NOON."""
        with self.database.unit_of_work() as session:
            add_listener(session, name, time_zone=time_zone, sentence=sentence, consents=True)
        self.hears(name, hears, kind)

    def hears(self, name, assets, kind="completed", at=datetime(2026, 3, 1, tzinfo=UTC)):
        with self.database.unit_of_work() as session:
            record_events(session, [Event(name, at, asset, kind) for asset in assets])

    def make_run(self, run_id):
        """Work off a run as a worker does, with the real tiny model."""
        worker = PullWorker(
            WorkerOptions(run_id=run_id, poll_s=0.05),
            self.database,
            self.objects,
            lambda: load_generator(self.model, slots=4),
            new_owner(),
            Marker(marking_spec(self.settings)),
        )
        return worker.run()


def sound(seed):
    times = np.arange(16_000) / 16_000
    wave = 0.3 * np.sin(2 * np.pi * (200 + seed) * times)
    out = io.BytesIO()
    soundfile.write(out, wave, 16_000, format="FLAC")
    return out.getvalue()


def new_house(databases, home):
    model = tiny_musiclm.version(home / "models" / "musiclm-tiny", takes=1)
    settings = Settings(home=home, taste_model="musiclm-tiny", slots=4, workers=1, patience_s=20)
    load_keys(settings)
    database = connect(databases.migrated())
    with database.unit_of_work() as session:
        register_version(session, replace(registration(model), kind="soundscape"))
    return House(database, open_objects(home / "objects"), settings, model)
