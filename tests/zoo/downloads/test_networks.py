"""Networks that are missing, and proxies and certificates that are in the way."""

import time

import pytest
import requests
from support.downloads import answer, cached, closed_port

from pocketzoo import zoo
from pocketzoo.zoo.image_files import read_bytes
from pocketzoo.zoo.pretrained import network_errors, transfer
from pocketzoo.zoo.pretrained.download import fetch


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("http://127.0.0.1:{port}/w.h5", r"127\.0\.0\.1 cannot be reached: it refuses the connection"),
        ("http://nowhere.invalid/w.h5", r"the name nowhere\.invalid cannot be resolved: there is no network"),
        ("hf://timm/net", r"model\.safetensors of hf://timm/net cannot be downloaded: 127\.0\.0\.1 cannot be reached"),
    ],
)
def test_missing_network_is_reported_at_once(server, monkeypatch, source, message):
    monkeypatch.setattr(transfer, "WAITS", (20.0, 20.0))
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{closed_port()}")
    start = time.monotonic()
    with pytest.raises(zoo.InputError, match=message):
        fetch(source.format(port=closed_port()))
    assert time.monotonic() - start < 10
    assert cached() == []


def test_proxy_that_refuses_is_named_without_its_password(server, monkeypatch):
    proxy = server.address("").removeprefix("http://").rstrip("/")
    monkeypatch.setenv("HTTP_PROXY", f"http://user:secret@{proxy}")
    server.answers = [answer(b"", 407, length=0)]
    with pytest.raises(zoo.InputError, match=rf"the proxy {proxy} asks for a password \(407\)") as refused:
        fetch("http://weights.invalid/w.h5")
    assert "secret" not in str(refused.value)
    server.answers = [answer(b"", 403, length=0)]
    with pytest.raises(zoo.InputError, match=rf"403 Forbidden from weights\.invalid or from the proxy {proxy}"):
        fetch("http://weights.invalid/w.h5")


@pytest.mark.parametrize(
    ("status", "message"), [(407, r"asks for a password \(407\)"), (403, r"does not allow weights\.invalid \(403\)")]
)
def test_proxy_that_refuses_a_tunnel_is_named(server, monkeypatch, status, message):
    proxy = server.address("").removeprefix("http://").rstrip("/")
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:secret@{proxy}")
    monkeypatch.setattr(server.RequestHandlerClass.func, "do_CONNECT", answer(b"", status, length=0), raising=False)
    with pytest.raises(zoo.InputError, match=rf"the proxy {proxy} {message}") as refused:
        fetch("https://weights.invalid/w.h5")
    assert "secret" not in str(refused.value)


def test_missing_proxy_is_named(server, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{closed_port()}")
    with pytest.raises(zoo.InputError, match=r"the proxy 127\.0\.0\.1:\d+ cannot be used .*HTTPS_PROXY"):
        fetch("https://weights.invalid/w.h5")


def test_missing_certificate_file_is_named(server, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", "/no/such.pem")
    with pytest.raises(zoo.InputError, match=r"SSL_CERT_FILE names the certificates /no/such\.pem, which do not exist"):
        fetch(server.address("w.safetensors"))


def test_untrusted_certificate_says_which_variable_to_set(server):
    text = "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate (_ssl.c:1000)"
    reason = network_errors.explain(requests.exceptions.SSLError(text), "https://hub/x")
    assert "the TLS certificate of hub is not trusted (self-signed certificate)" in str(reason)
    assert str(reason).endswith("SSL_CERT_FILE must name a file with its certificate")
    assert not isinstance(reason, network_errors.InterruptionError)


def test_image_from_the_web_comes_by_the_same_rules(server, monkeypatch):
    server.answers = [answer(b"", 302, length=0, Location="file:///etc/passwd")]
    with pytest.raises(zoo.InputError, match="which is not followed"):
        read_bytes(server.address("a.png"))
    with pytest.raises(zoo.InputError, match=r"cannot be downloaded: 127\.0\.0\.1 cannot be reached: it refuses"):
        read_bytes(f"http://127.0.0.1:{closed_port()}/a.png")
    monkeypatch.setenv("POCKETZOO_LIMIT_IMAGE_BYTES", "3")
    server.answers = [answer(b"1234")]
    with pytest.raises(zoo.InputError, match="the limit is 3"):
        read_bytes(server.address("a.png"))
    server.answers = [answer(b"123")]
    assert read_bytes(server.address("a.png")) == b"123"
    monkeypatch.setenv("POCKETZOO_OFFLINE", "1")
    with pytest.raises(zoo.InputError, match=r"POCKETZOO_OFFLINE \(--offline\) is set"):
        read_bytes(server.address("a.png"))
