"""Whose certificates clients trust: the same as httpx trusts by itself, but read once a process.

httpx reads the certificates of all authorities for each client, which takes 25 ms of a core. A task opens
several clients, and a trigger one at each look. The components that fork read them before they fork.
"""

from __future__ import annotations

import functools
import os
import ssl

import httpx


def trusted() -> ssl.SSLContext:
    """For services that the operator names: SSL_CERT_FILE and SSL_CERT_DIR count, as they are now."""
    return _read(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@functools.cache
def trusted_of_strangers() -> ssl.SSLContext:
    """For addresses that users name: nothing of the environment counts."""
    return httpx.create_ssl_context(trust_env=False)


@functools.cache
def _read(file: str | None, folder: str | None) -> ssl.SSLContext:
    """``file``, ``folder``: what httpx finds in the environment, so that other values are read again."""
    return httpx.create_ssl_context()
