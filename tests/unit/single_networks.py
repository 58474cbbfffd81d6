"""Models of one network, made of those that have a first stage."""

from __future__ import annotations

from dataclasses import replace

from inkmill.models.cascade import divided
from inkmill.models.manifest import Blob
from inkmill.models.weights import Golden, ModelFiles, decode_weights, encode_weights


def network_alone(files: ModelFiles) -> ModelFiles:
    """The same model without its first stage, which then reads everything by its network."""
    network, _ = divided(decode_weights(files.weights, files.manifest))
    weights = encode_weights(network)
    golden = replace(Golden.decode(files.golden, files.manifest), first_stage=None).encode()
    manifest = replace(
        files.manifest, first_stage=None, weights=Blob.of(weights), golden=Blob.of(golden)
    )
    return replace(files, manifest=manifest, weights=weights, golden=golden)
