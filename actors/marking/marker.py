"""The finishing step: a product as it was made becomes a product as it leaves.

First the mark goes into every waveform, and what is so made is the content of the asset: the same for the same
recipe. Then manifests are signed, into the files or beside them; a signature is another each time, so the digest of
an asset is that of its content.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

from actors.code_version import code_version, released
from actors.identity import asset_digest
from actors.marking.manifests import (
    SIDECAR,
    SIDECAR_TYPE,
    Claim,
    ManifestError,
    ManifestSigner,
    SigningIdentity,
    embeds,
    has_sidecar,
)
from actors.marking.waveforms import UnmarkableError, is_waveform, mark_files, payload_of
from models.digests import digest_of_bytes
from models.generator import GenerationError, Product, ProductFile, StageRecord

MARK_STAGE: Final = "mark"


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkingSpec:
    """How what is made is marked and signed; None leaves that out, which the lineage then says.

    With `embedded` manifests lie in the files that have room for one, else beside them all.
    """

    watermark_key: bytes | None = field(repr=False)
    identity: SigningIdentity | None
    embedded: bool = True


@dataclass(frozen=True, slots=True)
class Finished:
    """A product ready to be stored. `unsigned` has the digests of files before their manifests, by role."""

    product: Product
    unsigned: Mapping[str, str]


class Marker:
    """Marks and signs the products of one worker."""

    def __init__(self, spec: MarkingSpec) -> None:
        """Load the keys.

        Raises:
            ManifestError: the signing key cannot be used.
        """
        self._key, self._embedded = spec.watermark_key, spec.embedded
        self._signer = ManifestSigner(spec.identity, released()) if spec.identity is not None else None

    def finish(self, recipe_id: str, recipe: Mapping[str, Any], product: Product) -> Finished:
        """Return the product marked and signed.

        Raises:
            GenerationError: a file is not what its type says, or cannot be signed.
        """
        began, started = datetime.now(UTC), time.perf_counter()
        try:
            files, signed_roles = self._files(recipe_id, product)
            final = tuple(self._signed(recipe_id, recipe, files)) if self._signer else files
        except (UnmarkableError, ManifestError) as error:
            raise GenerationError(str(error)) from error
        unsigned = {file.role: digest_of_bytes(file.data) for file in files if file.role in signed_roles}
        content = {file.role: unsigned.get(file.role) or digest_of_bytes(file.data) for file in files}
        stage = StageRecord(
            name=MARK_STAGE,
            input_digest=asset_digest({file.role: digest_of_bytes(file.data) for file in product.files}),
            output_digest=asset_digest(content),
            started_at=began,
            wall_s=time.perf_counter() - started,
            detail=self._detail(recipe_id, product),
        )
        return Finished(replace(product, files=final, stages=(*product.stages, stage)), unsigned)

    def _files(self, recipe_id: str, product: Product) -> tuple[tuple[ProductFile, ...], frozenset[str]]:
        marked = mark_files(product.files, self._key, payload_of(recipe_id)) if self._key else {}
        files = tuple(replace(file, data=marked.get(file.role, file.data)) for file in product.files)
        signed = [file.role for file in files if self._signer and self._embeds(file)]
        return files, frozenset(signed)

    def _signed(self, recipe_id: str, recipe: Mapping[str, Any], files: tuple[ProductFile, ...]) -> list[ProductFile]:
        assert self._signer is not None
        out: list[ProductFile] = []
        for file in files:
            mark = recipe_id[:16] if self._key and is_waveform(file.media_type) else None
            claim = Claim(
                title=file.name,
                asset=recipe_id,
                role=file.role,
                recipe=recipe,
                software=code_version(),
                watermark=mark,
            )
            if self._embeds(file):
                out.append(replace(file, data=self._signer.embed(file.data, file.media_type, claim)))
                continue
            out.append(file)
            if has_sidecar(file.media_type):
                out.append(
                    ProductFile(
                        role=file.role + SIDECAR,
                        name=file.name + SIDECAR,
                        media_type=SIDECAR_TYPE,
                        data=self._signer.beside(file.data, file.media_type, claim),
                    )
                )
        return out

    def _embeds(self, file: ProductFile) -> bool:
        return self._embedded and embeds(file.media_type)

    def _detail(self, recipe_id: str, product: Product) -> dict[str, Any]:
        if self._key is None:
            mark = "off"
        elif any(is_waveform(file.media_type) for file in product.files):
            mark = recipe_id[:16]
        else:
            mark = "no waveform"
        manifests = "off" if self._signer is None else "embedded" if self._embedded else "beside"
        return {"watermark": mark, "manifests": manifests}
