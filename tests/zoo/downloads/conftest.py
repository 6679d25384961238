"""A server of weights, and a cache of its own for each test."""

import pytest
from support.downloads import WEIGHTS
from support.http_server import serve

from pocketzoo.zoo.pretrained import transfer

PROXIES = (
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "SSL_CERT_FILE",
)


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("POCKETZOO_CACHE", str(tmp_path / "cache"))
    for variable in ("POCKETZOO_OFFLINE", "HF_HUB_OFFLINE", "HF_TOKEN", *PROXIES, *map(str.lower, PROXIES)):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(transfer, "WAITS", (0.0, 0.0, 0.0))
    (tmp_path / "served").mkdir()
    for suffix, content in WEIGHTS.items():
        (tmp_path / "served" / f"w.{suffix}").write_bytes(content)
    with serve(tmp_path / "served") as server:
        yield server
