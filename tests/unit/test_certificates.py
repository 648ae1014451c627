"""Whose certificates clients trust, and that they are read once, however many clients there are."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pressroom.adapters.http.certificates import trusted, trusted_of_strangers
from pressroom.adapters.http.service import Service
from pressroom.adapters.http.stranger import SafeHttp


@dataclass(frozen=True)
class Settings:
    """A service's connection."""

    connection: str = "pressroom_service"
    base_url: str = "https://service.example"
    timeout_seconds: float = 5
    secrets: list[str] = field(default_factory=list)


@pytest.fixture
def one_authority(tmp_path: Path) -> str:
    """A file with the certificate of one authority."""
    first = trusted_of_strangers().get_ca_certs(binary_form=True)[0]
    file = tmp_path / "authorities.pem"
    file.write_text(ssl.DER_cert_to_PEM_cert(first), encoding="ascii")
    return str(file)


async def test_clients_read_them_once(monkeypatch: pytest.MonkeyPatch) -> None:
    trusted(), trusted_of_strangers()

    def read_again(*_: Any, **__: Any) -> ssl.SSLContext:
        raise AssertionError("the certificates are read again")

    monkeypatch.setattr(ssl, "create_default_context", read_again)
    for _ in range(3):
        await Service("the service", Settings()).close()
        await SafeHttp().close()


def test_a_certificate_and_the_hosts_name_are_checked() -> None:
    for context in (trusted(), trusted_of_strangers()):
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname
        assert len(context.get_ca_certs()) > 50


def test_the_environment_counts_for_services_and_not_for_strangers(
    monkeypatch: pytest.MonkeyPatch, one_authority: str
) -> None:
    before = trusted()
    with monkeypatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", one_authority)
        assert len(trusted().get_ca_certs()) == 1
        assert len(trusted_of_strangers().get_ca_certs()) > 50
    assert trusted() is before
