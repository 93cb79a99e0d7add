"""C2PA manifests (Content Credentials): signed into a file, or beside it where the format has no room.

WAV, FLAC, MP3 and M4A carry their manifest; MIDI, MusicXML, PDF and Ogg/Opus have it in a file beside them, named
like them with ".c2pa" at its end. Either is bound to the file's bytes: tags and the watermark come before.
No network is used: no time stamp authority, no OCSP, no remote manifests.
"""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import c2pa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

SIDECAR: Final = ".c2pa"
SIDECAR_TYPE: Final = "application/c2pa"
RECIPE_LABEL: Final = "tutti.recipe"
WATERMARK_ALGORITHM: Final = "tutti.patchwork.1"
_COMMAND_S: Final = 60.0
_SCALAR_BYTES: Final = 32  # of P-256
_SOURCE_TYPE: Final = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"

# What the signing library calls a type, for each that a product may have.
_EMBEDDED: Final = {
    "audio/flac": "audio/flac",
    "audio/x-flac": "audio/flac",
    "audio/wav": "audio/wav",
    "audio/x-wav": "audio/wav",
    "audio/vnd.wave": "audio/wav",
    "audio/mpeg": "audio/mpeg",
    "audio/mp4": "audio/mp4",
}
_BESIDE: Final = {
    "audio/ogg": "audio/ogg",
    "audio/opus": "audio/ogg",
    "audio/midi": "audio/midi",
    "application/xml": "application/octet-stream",
    "application/vnd.recordare.musicxml+xml": "application/octet-stream",
    "application/pdf": "application/octet-stream",
}


class ManifestError(Exception):
    """A manifest cannot be made or read; the message says of what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningIdentity:
    """A certificate chain (PEM, leaf first), its private key (PEM, ES256) and the root that readers trust.

    Without a key `command` signs: it is given the bytes on standard input, and writes an ECDSA signature over their
    SHA-256 on standard output, in DER or as r and s of 32 bytes each. So the key can stay in a token or a service.
    """

    chain: bytes
    key: bytes | None = field(repr=False)
    root: bytes
    command: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingredient:
    """A file that something was made from; `relationship` is inputTo, componentOf or parentOf."""

    title: str
    media_type: str
    data: bytes = field(repr=False)
    relationship: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a manifest says: the asset, its recipe, what wrote it, and the mark its sound carries (hex)."""

    title: str
    asset: str
    role: str
    recipe: Mapping[str, Any]
    software: str
    watermark: str | None
    ingredients: Sequence[Ingredient] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reader makes of a manifest. `failures` are the codes of the C2PA specification with their words."""

    state: str  # Trusted, Valid or Invalid
    failures: tuple[str, ...]
    signer: str
    serial: int | None  # of the signing certificate
    asset: str | None
    recipe: Mapping[str, Any] | None
    watermark: str | None
    embedded: bool


def embeds(media_type: str) -> bool:
    """Say whether files of this type carry their manifest."""
    return media_type in _EMBEDDED


def has_sidecar(media_type: str) -> bool:
    """Say whether files of this type can have their manifest beside them."""
    return media_type in _BESIDE or media_type in _EMBEDDED


class ManifestSigner:
    """Signs manifests with one identity."""

    def __init__(self, identity: SigningIdentity, version: str) -> None:
        """Load the key.

        Raises:
            ManifestError: key and chain do not fit, or are of another kind than ES256.
        """
        self._version = version
        self._context = _context(identity.root)
        self._command_failed: ManifestError | None = None
        try:
            self._signer = self._load(identity)
        except c2pa.C2paError as error:
            raise ManifestError(f"the signing key cannot be used: {error}") from error

    def embed(self, data: bytes, media_type: str, claim: Claim) -> bytes:
        """Return the file with its manifest in it.

        Raises:
            ManifestError: the file is not of its type, or cannot be signed.
        """
        out = io.BytesIO()
        self._sign(data, _EMBEDDED[media_type], claim, out, beside=False)
        return out.getvalue()

    def beside(self, data: bytes, media_type: str, claim: Claim) -> bytes:
        """Return the manifest of a file as a file of its own.

        Raises:
            ManifestError: it cannot be signed.
        """
        return self._sign(data, _kind(media_type), claim, io.BytesIO(), beside=True)

    def _load(self, identity: SigningIdentity) -> c2pa.Signer:
        algorithm = c2pa.C2paSigningAlg.ES256
        if identity.key is not None:
            return c2pa.Signer.from_info(c2pa.C2paSignerInfo(algorithm, identity.chain, identity.key, None))

        def sign(data: bytes) -> bytes:
            try:
                return sign_by_command(identity.command, bytes(data))
            except ManifestError as error:
                self._command_failed = error  # the library tells that there was an error, and not which
                raise

        return c2pa.Signer.from_callback(sign, algorithm, identity.chain.decode(), None)

    def _sign(self, data: bytes, kind: str, claim: Claim, out: io.BytesIO, *, beside: bool) -> bytes:
        try:
            builder = c2pa.Builder.from_json(json.dumps(self._manifest(kind, claim)), context=self._context)
            try:
                for ingredient in claim.ingredients:
                    described = {"title": ingredient.title, "relationship": ingredient.relationship}
                    builder.add_ingredient(
                        json.dumps(described), _kind(ingredient.media_type), io.BytesIO(ingredient.data)
                    )
                if beside:
                    builder.set_no_embed()
                return bytes(builder.sign(self._signer, kind, io.BytesIO(data), out))
            finally:
                builder.close()
        except c2pa.C2paError as error:
            reason, self._command_failed = self._command_failed or error, None
            raise ManifestError(f"the manifest of {claim.title} cannot be signed: {reason}") from error

    def _manifest(self, kind: str, claim: Claim) -> dict[str, Any]:
        model = claim.recipe["model"]
        created = {
            "action": "c2pa.created",
            "digitalSourceType": _SOURCE_TYPE,
            "softwareAgent": {"name": model["name"], "version": model["digest"]},
        }
        forbidden = {"use": "notAllowed"}
        assertions: list[dict[str, Any]] = [
            {"label": "c2pa.actions.v2", "data": {"actions": [created], "allActionsIncluded": True}},
            {
                "label": RECIPE_LABEL,
                "data": {
                    "asset": claim.asset,
                    "role": claim.role,
                    "recipe": dict(claim.recipe),
                    "code_version": claim.software,
                },
            },
            {
                "label": "c2pa.ai-disclosure",
                "data": {"modelType": "c2pa.types.generator", "modelName": model["name"]},
            },
            {
                "label": "cawg.training-mining",
                "data": {
                    "entries": {
                        "cawg.ai_generative_training": forbidden,
                        "cawg.ai_training": forbidden,
                        "cawg.data_mining": forbidden,
                        "cawg.ai_inference": forbidden,
                    }
                },
            },
        ]
        if claim.watermark is not None:
            binding = {"alg": WATERMARK_ALGORITHM, "blocks": [{"scope": {}, "value": claim.watermark}]}
            assertions.append({"label": "c2pa.soft-binding", "data": binding})
        return {
            "claim_generator_info": [{"name": "Tutti", "version": self._version}],
            "title": claim.title,
            "format": kind,
            "assertions": assertions,
        }


def sign_by_command(command: Sequence[str], data: bytes) -> bytes:
    """Have a command sign; return r and s.

    Raises:
        ManifestError: it cannot be run, fails, or writes no signature.
    """
    try:
        done = subprocess.run(  # noqa: S603  (what the keys' folder says)
            list(command), input=data, capture_output=True, check=True, timeout=_COMMAND_S
        )
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or b""
        raise ManifestError(f"{command[0]}: {said.decode('utf-8', 'replace').strip() or error}") from error
    if len(done.stdout) == 2 * _SCALAR_BYTES:
        return done.stdout
    try:
        r, s = decode_dss_signature(done.stdout)
        return r.to_bytes(_SCALAR_BYTES, "big") + s.to_bytes(_SCALAR_BYTES, "big")
    except (ValueError, OverflowError) as error:
        raise ManifestError(f"{command[0]} wrote {len(done.stdout)} bytes that are no ECDSA signature") from error


def read_manifest(data: bytes, media_type: str, root: bytes | None, sidecar: bytes | None = None) -> Reading | None:
    """Read and check a file's manifest; None where there is none.

    Args:
        data: the file.
        media_type: what it is.
        root: the certificate (PEM) that makes a signature trusted.
        sidecar: the manifest beside it.

    Raises:
        ManifestError: there is one, and it cannot be read.
    """
    kind = _kind(media_type)
    if sidecar is None and kind not in c2pa.Reader.get_supported_mime_types():
        return None  # no room for one
    try:
        with _open(kind, data, sidecar, root) as reader:
            told = json.loads(reader.json())
    except c2pa.C2paError as error:
        if isinstance(error, c2pa.C2paError.ManifestNotFound):
            return None
        raise ManifestError(f"the manifest cannot be read: {error}") from error
    manifest = told["manifests"].get(told.get("active_manifest", ""), {})
    results = told.get("validation_results", {})
    signature = manifest.get("signature_info", {})
    serial = signature.get("cert_serial_number")
    assertions = {each["label"]: each["data"] for each in manifest.get("assertions", ())}
    recipe = assertions.get(RECIPE_LABEL, {})
    blocks = assertions.get("c2pa.soft-binding", {}).get("blocks", [{}])
    return Reading(
        state=str(told.get("validation_state", "Invalid")),
        failures=tuple(_failures(results)),
        signer=str(signature.get("common_name", "")),
        serial=int(serial) if serial is not None else None,
        asset=recipe.get("asset"),
        recipe=recipe.get("recipe"),
        watermark=blocks[0].get("value"),
        embedded=sidecar is None,
    )


def _failures(results: Mapping[str, Any]) -> list[str]:
    active = results.get("activeManifest", {}).get("failure", [])
    deltas = [
        failure
        for delta in results.get("ingredientDeltas", ())
        for failure in delta.get("validationDeltas", {}).get("failure", ())
    ]
    return [f"{each['code']} ({each.get('explanation', '')})" for each in (*active, *deltas)]


def _open(kind: str, data: bytes, sidecar: bytes | None, root: bytes | None) -> c2pa.Reader:
    if sidecar is None:
        return c2pa.Reader(kind, io.BytesIO(data), context=_context(root))
    return c2pa.Reader(kind, io.BytesIO(data), sidecar, context=_context(root))


def _kind(media_type: str) -> str:
    return _EMBEDDED.get(media_type) or _BESIDE.get(media_type) or media_type


def _context(root: bytes | None) -> c2pa.Context:
    settings: dict[str, Any] = {
        "version": 1,
        "verify": {
            "verify_trust": True,
            "verify_after_sign": False,  # audits read what was written; here it would double the time
            "remote_manifest_fetch": False,
            "ocsp_fetch": False,
        },
        "builder": {"thumbnail": {"enabled": False}},
    }
    if root is not None:
        settings["trust"] = {"user_anchors": root.decode()}
    return c2pa.Context(c2pa.Settings.from_dict(settings))
