"""Certificates of an authority that exists for one test."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True)
class Certificates:
    """PEM files: the authority, a server on loopback, and a client."""

    authority: Path
    server_cert: Path
    server_key: Path
    client_cert: Path
    client_key: Path

    @classmethod
    def make(cls, folder: Path) -> Certificates:
        """Make an authority and what it signs."""
        folder.mkdir()
        made = cls(*(folder / f"{name}.pem" for name in ("ca", "server", "key", "client", "own")))
        authority = trustme.CA()
        authority.cert_pem.write_to_path(made.authority)
        for identity, cert, key in (
            ("127.0.0.1", made.server_cert, made.server_key),
            ("inkmill@example.org", made.client_cert, made.client_key),
        ):
            leaf = authority.issue_cert(identity)
            leaf.cert_chain_pems[0].write_to_path(cert)
            leaf.private_key_pem.write_to_path(key)
        return made

    def server(self) -> ssl.SSLContext:
        """What a server needs that asks its clients for a certificate."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self.authority)
        context.load_cert_chain(self.server_cert, self.server_key)
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    def client(self) -> dict[str, Path]:
        """The settings of a client that this authority knows."""
        return {
            "ca_bundle": self.authority,
            "redis_client_cert": self.client_cert,
            "redis_client_key": self.client_key,
        }
