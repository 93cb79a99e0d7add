"""What is still held of an asset, against its ledger entry: rows, objects, manifests, marks, weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from rfc8785 import CanonicalizationError

from actors.identity import recipe_id
from actors.marking.manifests import SIDECAR, ManifestError, Reading, embeds, has_sidecar, read_manifest
from actors.marking.marker import MARK_STAGE
from actors.marking.waveforms import UnmarkableError, decode_waveform, is_waveform, payload_of
from db.asset_entries import asset_entry, facts_of_recorded
from db.asset_types import AssetFile, Lineage
from db.canonical import canonical
from db.errors import CorruptObjectError, InvalidValueError, LedgerError, MissingObjectError
from db.ledger import SCHEMA, Entry
from db.objects import ObjectStore
from flows.keys import Keys
from flows.provenance.checks import Check
from models.registry import find_version, list_versions
from models.signing import check_signature, signed_digest
from models.watermark.detection import best_match, detect
from models.weights import CONFIG, WEIGHTS, CorruptModelError, ModelVersion, UnknownModelError

_CREDENTIAL: Final = "signingCredential."  # codes of the C2PA specification
_EXPIRED: Final = "signingCredential.expired"
_NAMED: Final = 5  # of many that are wrong, so many are named


@dataclass(frozen=True, slots=True)
class Held:
    """A file of an asset with its bytes."""

    file: AssetFile
    data: bytes


def rows_check(known: Lineage, entry: Entry) -> Check:
    """See that the rows of an asset are those that were entered."""
    asset = known.asset.id[:12]
    if columns := _unlike_recipe(known):
        detail = f"rows of asset {asset} are not those of the recipe that names it: {', '.join(columns)}"
        return Check("rows", False, detail)
    try:
        made = {"schema": SCHEMA, "type": entry.kind, **asset_entry(facts_of_recorded(known)).body}
        if canonical(made) == entry.body:
            return Check("rows", True, "every row of the asset is as it was entered in the ledger")
        entered = entry.content
    except (InvalidValueError, LedgerError) as error:
        return Check("rows", False, f"the rows of asset {asset} cannot be compared with its entry: {error}")
    wrong = sorted(name for name in {*made, *entered} if made.get(name) != entered.get(name))
    return Check("rows", False, f"rows of asset {asset} were changed after they were entered: {', '.join(wrong)}")


def _unlike_recipe(known: Lineage) -> list[str]:
    """Return what of an asset's rows contradicts its id, which is the digest of its recipe."""
    recipe: Mapping[str, Any] = known.recipe
    asset = known.asset
    try:
        if recipe_id(recipe) != asset.id:
            return ["recipe"]
        model = recipe["model"]
        shown = {
            "prompt": (asset.prompt, recipe["prompt"]),
            "seed": (asset.seed, recipe["seed"]),
            "model": ((asset.model_name, asset.model_digest), (model["name"], model["digest"])),
            "kind": (asset.kind, recipe["kind"]),
        }
    except (CanonicalizationError, KeyError, TypeError):  # it may hold anything
        return ["recipe"]
    return [name for name, (row, said) in shown.items() if row != said]


def read_files(objects: ObjectStore, files: Sequence[AssetFile]) -> tuple[list[Held], Check]:
    """Read and hash the objects of an asset; return those that are whole, and what is to be said."""
    held: list[Held] = []
    wrong: list[str] = []
    for file in files:
        try:
            held.append(Held(file, objects.get(file.digest)))
        except MissingObjectError:
            wrong.append(f"{file.name} is gone from {objects.locate(file.digest)}")
        except CorruptObjectError:
            wrong.append(f"{file.name} was changed: {objects.locate(file.digest)}")
        except ValueError as error:
            wrong.append(f"{file.name} cannot be looked for: {error}")
    if wrong:
        return held, Check("objects", False, "; ".join(wrong[:_NAMED]))
    return held, Check("objects", True, f"{len(held)} files, each with the bytes that were entered")


def manifests_check(asset_id: str, held: Sequence[Held], keys: Keys) -> Check:
    """See that the manifests of the stored files are trusted and of this asset."""
    by_role = {each.file.role: each for each in held}
    wrong: list[str] = []
    read = 0
    for each in held:
        sidecar = by_role.get(each.file.role + SIDECAR)
        if sidecar is None and not (embeds(each.file.media_type) and each.file.unsigned_digest):
            continue
        if sidecar is not None and not has_sidecar(each.file.media_type):
            continue
        read += 1
        problem = manifest_problem(each.data, each.file.media_type, sidecar.data if sidecar else None, asset_id, keys)
        if problem:
            wrong.append(f"{each.file.name}: {problem}")
    if wrong:
        return Check("manifests", False, "; ".join(wrong[:_NAMED]))
    if not read:
        return Check("manifests", None, "no file of the asset was signed: manifests were off")
    return Check("manifests", True, f"{read} C2PA manifests are valid, trusted and of this asset")


def manifest_problem(data: bytes, media_type: str, sidecar: bytes | None, asset_id: str, keys: Keys) -> str | None:
    """Return what is wrong with a file's manifest, None if nothing is."""
    try:
        reading = read_manifest(data, media_type, keys.manifests.root, sidecar)
    except ManifestError as error:
        return str(error)
    if reading is None:
        return "its manifest is gone"
    return reading_problem(reading, keys) or (
        None if reading.asset == asset_id else f"its manifest is of asset {str(reading.asset)[:12]}"
    )


def reading_problem(reading: Reading, keys: Keys) -> str | None:
    """Return what is wrong with a manifest itself."""
    if reading.serial is not None and reading.serial in keys.revoked:
        return f"signed with certificate {reading.serial:#x}, which is revoked"
    if reading.failures and all(failure.startswith(_CREDENTIAL) for failure in reading.failures):
        if any(failure.startswith(_EXPIRED) for failure in reading.failures):
            return f"signed by {reading.signer} with certificate {reading.serial or 0:#x}, which has expired"
    elif reading.state == "Invalid":
        return "changed after it was signed: " + "; ".join(reading.failures[:_NAMED])
    if reading.state != "Trusted":
        return (
            f"signed by {reading.signer or 'somebody'}, whom nothing here vouches for ({', '.join(reading.failures)})"
        )
    return None


def marks_check(known: Lineage, held: Sequence[Held], keys: Keys) -> Check:
    """See that every waveform carries the asset's mark."""
    stage = next((stage for stage in known.stages if stage.stage == MARK_STAGE), None)
    told = stage.detail if stage and isinstance(stage.detail, Mapping) else {}
    state = str(told.get("watermark")) if stage else "off"
    if state in ("off", "no waveform"):
        return Check("watermark", None, f"no waveform was marked: {state}")
    heard: list[str] = []
    missing: list[str] = []
    for each in held:
        if not is_waveform(each.file.media_type):
            continue
        try:
            wave, rate_hz = decode_waveform(each.data)
        except UnmarkableError as error:
            missing.append(f"{each.file.name} {error}")
            continue
        issued = np.array([payload_of(known.asset.id)], dtype=np.uint64)
        match = best_match(detect(wave, rate_hz, keys.watermark), issued)
        if match is not None and match.found:
            heard.append(f"{each.file.name} (strength {match.strength:.0f} of {match.threshold:.1f} needed)")
        else:
            missing.append(f"{each.file.name} has too little sound for a mark to be heard")
    if missing:  # a mark may be too weak in a short or almost silent piece; that contradicts nothing
        return Check("watermark", None, "; ".join(missing[:_NAMED]))
    return Check("watermark", True, f"the asset's mark is in {', '.join(heard[:_NAMED])}")


def model_checks(recipe: Any, folders: Sequence[Any], keys: Keys) -> Iterator[Check]:
    """See whether a recipe's weights are here, are those of the digest, and are signed; and what they learnt from."""
    model = recipe.get("model") if isinstance(recipe, Mapping) else None
    if not isinstance(model, Mapping) or not all(isinstance(model.get(each), str) for each in ("name", "digest")):
        yield Check("model", False, "the recipe does not say, by name and digest, which model made the asset")
        return
    try:
        version: ModelVersion | None
        try:
            version = find_version(f"{model['name']}@{model['digest']}", folders)
        except UnknownModelError:
            version = None
        if version is None or version.digest != model["digest"]:  # the beginning of a digest will not do here
            yield _missing_model(model, folders)
            return
        report = check_signature(version, keys.trusted_models)
    except CorruptModelError as error:
        yield Check("model", False, str(error))
        return
    who = f"signed by key {str(report.signer)[:16]}" if report.signed else "not signed"
    yield Check("model", True, f"{model['name']}: weights have digest {model['digest'][:19]}, {who}")
    yield training_data_check(version.card, report.card_is_as_signed if report.signed else None)


def _missing_model(model: Mapping[str, str], folders: Sequence[Any]) -> Check:
    """No weights here have the digest: because they are elsewhere, or because a file of theirs was changed."""
    wanted = model["digest"]
    for version in list_versions(folders):
        if signed_digest(version) == wanted:
            was = f"was signed with digest {wanted[:19]} and has {version.digest[:19]}"
            return Check("model", False, f"{version.path} {was}: {WEIGHTS} or {CONFIG} was changed")
    return Check("model", None, f"no weights of {model['name']} with digest {wanted[:19]} are here")


def training_data_check(card: Mapping[str, Any], as_signed: bool | None) -> Check:
    """Say what a model learnt from, as its card tells."""
    data = card.get("training_data")
    if not isinstance(data, Mapping) or not isinstance(data.get("collections", []), list):
        return Check("training data", None, "the model's card does not say what it learnt from")
    collections = [
        f"{each.get('name')} ({each.get('licence')})"
        for each in data.get("collections", ())
        if isinstance(each, dict)
    ]
    told = f"{', '.join(collections) or 'no collections named'}; manifest {data.get('manifest', 'not given')}"
    if as_signed is False:
        return Check("training data", None, f"the card was changed after it was signed; it says: {told}")
    return Check("training data", True, told)
