"""Downloads that go wrong: other content than weights, servers that stop or lie, networks that are missing."""

import gzip
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import requests
from safetensors.numpy import save
from support.http_server import serve
from support.weight_files import legacy_h5, safetensors

from pocketzoo import zoo
from pocketzoo.zoo import registry
from pocketzoo.zoo.cards import Pretrained
from pocketzoo.zoo.image_files import read_bytes
from pocketzoo.zoo.pretrained import network_errors, transfer
from pocketzoo.zoo.pretrained.download import cache_folder, fetch, forget

TENSORS = {"conv/kernel": np.arange(2**14, dtype="float32")}
WEIGHTS = {"h5": legacy_h5(TENSORS), "safetensors": save(TENSORS)}
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


def cached() -> list[str]:
    """Names of the files in the cache but for locks."""
    return sorted(path.name for path in cache_folder().rglob("*") if path.is_file() and path.suffix != ".lock")


def answer(*args, **kwargs):
    return lambda handler: handler.answer(*args, **kwargs)


PORTAL = b"\n<!DOCTYPE html><html><body>Please log in</body></html>"
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 102469840\n"
FOREIGN = {
    "HTML": (PORTAL, "it is an HTML page"),
    "nothing": (b"", "it is empty"),
    "JSON": (b'{"error": "Not found\x1b"}', r"cannot be read as weights|JSON document"),
    "JSON text": (b'{"error": "Not found"}', "it is a JSON document that begins with"),
    "XML": (b"<Error><Code>AccessDenied</Code></Error>", "it is an XML document"),
    "Git LFS": (LFS, "pointer of Git LFS"),
    "text": (b"moved\n", "it is text"),
    "noise": (bytes(range(256)) * 8, "cannot be read as weights"),
}


@pytest.mark.parametrize("suffix", ["h5", "safetensors"])
@pytest.mark.parametrize("content", FOREIGN)
def test_content_that_is_not_weights_is_neither_kept_nor_recorded(server, content, suffix):
    body, message = FOREIGN[content]
    server.answers = [answer(body, length=len(body))]
    with pytest.raises(zoo.InputError, match=message):
        fetch(server.address(f"w.{suffix}"))
    assert cached() == []
    server.answers = []
    assert fetch(server.address(f"w.{suffix}")).read_bytes() == WEIGHTS[suffix]


@pytest.mark.parametrize("suffix", ["h5", "safetensors"])
def test_body_cut_without_a_declared_length_is_not_kept(server, suffix):
    for size in (1, 7, 8, 100, 2000, len(WEIGHTS[suffix]) - 1):
        server.answers = [answer(WEIGHTS[suffix][:size])]
        with pytest.raises(zoo.InputError, match="is not the expected one"):
            fetch(server.address(f"w.{suffix}"))
    assert cached() == []


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("suffix", ["h5", "safetensors"])
def test_first_download_with_a_value_that_is_not_finite_is_not_kept(server, suffix, value):
    tensors = {"conv/kernel": np.float32([1, value])}
    body = legacy_h5(tensors) if suffix == "h5" else save(tensors)
    server.answers = [answer(body, length=len(body))]
    with pytest.raises(zoo.InputError, match="1 of the 2 values of tensor conv/kernel are NaN or infinite"):
        fetch(server.address(f"w.{suffix}"))
    assert cached() == []


def test_first_download_without_tensors_is_not_kept(server):
    server.answers = [answer(safetensors({}))]
    with pytest.raises(zoo.InputError, match="it has no tensors"):
        fetch(server.address("w.safetensors"))
    assert cached() == []


def test_other_content_than_published_is_named(server):
    server.answers = [answer(PORTAL)]
    with pytest.raises(zoo.InputError, match=r"was published; it is an HTML page"):
        fetch(server.address("w.safetensors"), "sha256:" + "0" * 64)
    assert cached() == []


def test_compressed_transfer_gives_the_file(server):
    body = gzip.compress(WEIGHTS["safetensors"])
    server.answers = [answer(body, length=len(body), Content_Encoding="gzip")]
    assert fetch(server.address("w.safetensors")).read_bytes() == WEIGHTS["safetensors"]


def test_damaged_compressed_transfer_is_not_kept(server):
    body = b"\x1f\x8b" + bytes(100)
    server.answers = [answer(body, length=len(body), Content_Encoding="gzip")]
    with pytest.raises(zoo.InputError, match="compressed transfer is damaged"):
        fetch(server.address("w.safetensors"))
    assert cached() == []


def test_compressed_file_is_not_kept(server):
    body = gzip.compress(WEIGHTS["safetensors"])
    server.answers = [answer(body, length=len(body))]
    with pytest.raises(zoo.InputError, match="compressed with gzip"):
        fetch(server.address("w.safetensors"))
    assert cached() == []


def test_download_above_the_limit_is_refused(server, monkeypatch):
    monkeypatch.setenv("POCKETZOO_LIMIT_MODEL_BYTES", "1000")
    for length in (len(WEIGHTS["safetensors"]), None):
        server.answers = [answer(WEIGHTS["safetensors"], length=length)]
        with pytest.raises(zoo.InputError, match=r"the limit is 1,000 .*POCKETZOO_LIMIT_MODEL_BYTES"):
            fetch(server.address("w.safetensors"))
    assert cached() == []


def test_download_that_does_not_fit_on_the_disk_is_not_started(server):
    server.answers = [answer(b"", length=10**9 * 2)]
    free = transfer.shutil.disk_usage
    try:
        transfer.shutil.disk_usage = lambda folder: free(folder)._replace(free=100)
        with pytest.raises(zoo.InputError, match=r"2,000,000,000 bytes are needed in .*, where 100 are free"):
            fetch(server.address("w.safetensors"))
    finally:
        transfer.shutil.disk_usage = free


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_status_that_can_pass_is_tried_again(server, status):
    good = answer(WEIGHTS["safetensors"], length=len(WEIGHTS["safetensors"]))
    server.answers = [answer(b"", status, length=0), good]
    fetch(server.address("w.safetensors"))
    assert len(server.requests) == 2


def test_status_that_stays_is_given_up(server):
    server.answers = [answer(b"", 503, length=0)]
    with pytest.raises(zoo.InputError, match=r"503 Service Unavailable from 127\.0\.0\.1, 4 times"):
        fetch(server.address("w.safetensors"))
    assert len(server.requests) == 4


@pytest.mark.parametrize("status", [204, 300, 400, 401, 403, 404, 410, 416, 451, 501, 599])
def test_other_statuses_are_errors_at_once(server, status):
    server.answers = [answer(b"", status, length=0)]
    with pytest.raises(zoo.InputError, match=rf"cannot be downloaded: {status} "):
        fetch(server.address("w.safetensors"))
    assert len(server.requests) == 1
    assert cached() == []


def test_asked_pause_is_kept_if_it_is_short(server, monkeypatch):
    pauses = []
    monkeypatch.setattr(transfer.time, "sleep", pauses.append)
    good = answer(WEIGHTS["safetensors"], length=len(WEIGHTS["safetensors"]))
    server.answers = [answer(b"", 429, length=0, Retry_After="7"), good]
    fetch(server.address("w.safetensors"))
    assert pauses == [7.0]
    server.answers = [answer(b"", 429, length=0, Retry_After="86400"), good]
    with pytest.raises(zoo.InputError, match=r"429 Too Many Requests .* asks to wait for 86,400 s"):
        fetch(server.address("other.safetensors"))


def break_off(after: int, **headers: str):
    """Sends some bytes of the file from the requested offset on, and resets the connection."""

    def run(handler):
        start = int((handler.headers.get("Range") or "bytes=0-")[6:-1])
        body = WEIGHTS["safetensors"][start:]
        handler.answer(body[:after], 206 if start else 200, length=len(body), **headers)
        handler.wfile.flush()
        if after < len(body):
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            time.sleep(0.05)
            handler.connection.close()

    return run


def test_lost_connection_continues_where_it_stopped(server):
    server.answers = [break_off(10_000, ETag='"v1"'), break_off(10**6, ETag='"v1"')]
    assert fetch(server.address("w.safetensors")).read_bytes() == WEIGHTS["safetensors"]
    assert [byte_range for _, byte_range in server.requests] == [None, "bytes=10000-"]


def test_file_that_changed_in_the_meantime_is_downloaded_from_the_start(server):
    whole = answer(WEIGHTS["safetensors"], length=len(WEIGHTS["safetensors"]), ETag='"v2"')
    server.answers = [break_off(10_000, ETag='"v1"'), whole]
    assert fetch(server.address("w.safetensors")).read_bytes() == WEIGHTS["safetensors"]


def test_lost_connection_starts_again_where_nothing_tells_a_changed_file(server):
    server.answers = [break_off(10_000), break_off(10**6)]
    assert fetch(server.address("w.safetensors")).read_bytes() == WEIGHTS["safetensors"]
    assert [byte_range for _, byte_range in server.requests] == [None, None]


def test_part_of_another_place_in_the_file_is_refused(server):
    wrong = answer(b"x" * 10, 206, length=10, Content_Range="bytes 5-14/100")
    server.answers = [break_off(10_000, ETag='"v1"'), wrong]
    with pytest.raises(zoo.InputError, match="sends another part of the file"):
        fetch(server.address("w.safetensors"))
    assert cached() == []


def test_partial_file_that_the_server_cannot_continue_is_replaced(server):
    published = f"md5:{transfer.hashlib.md5(WEIGHTS['safetensors']).hexdigest()}"
    part = fetch(server.address("w.safetensors"), published)
    part.rename(f"{part}.part")
    Path(f"{part}.part").write_bytes(WEIGHTS["safetensors"] + b"from another file")
    server.answers = [answer(b"", 416, length=0), answer(WEIGHTS["safetensors"], length=len(WEIGHTS["safetensors"]))]
    assert fetch(server.address("w.safetensors"), published).read_bytes() == WEIGHTS["safetensors"]
    assert cached() == ["w.safetensors"]


def test_complete_partial_file_needs_no_request(server):
    published = f"md5:{transfer.hashlib.md5(WEIGHTS['safetensors']).hexdigest()}"
    path = fetch(server.address("w.safetensors"), published)
    path.rename(f"{path}.part")
    server.requests.clear()
    assert fetch(server.address("w.safetensors"), published) == path
    assert server.requests == []


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/w.h5", "gopher://x", "data:,x"])
def test_redirect_to_another_scheme_is_not_followed(server, target):
    server.answers = [answer(b"", 302, length=0, Location=target)]
    with pytest.raises(zoo.InputError, match=r"redirects from http:// to .* which is not followed"):
        fetch(server.address("w.safetensors"))


def test_redirect_from_encrypted_to_plain_is_not_followed():
    with pytest.raises(network_errors.TransferError, match=r"from https:// to 'http://other/w\.h5'"):
        transfer._redirected("https://one/w.h5", "http://other/w.h5")
    assert transfer._redirected("https://one/a/w.h5", "../b/w.h5") == "https://one/b/w.h5"


def test_redirects_without_an_end_are_given_up(server):
    server.answers = [answer(b"", 302, length=0, Location="/w.safetensors")]
    with pytest.raises(zoo.InputError, match="redirects more than 10 times"):
        fetch(server.address("w.safetensors"))
    assert len(server.requests) == 10


def test_token_is_not_sent_to_where_the_hub_redirects(server, monkeypatch, tmp_path):
    sent = []
    monkeypatch.setenv("HF_TOKEN", "secret")
    monkeypatch.setenv("HF_ENDPOINT", server.address("").rstrip("/"))
    (tmp_path / "cdn").mkdir()
    with serve(tmp_path / "cdn") as cdn:

        def redirect(handler):
            sent.append(handler.headers.get("Authorization"))
            handler.answer(b"", 302, length=0, Location=cdn.address("w"))

        def content(handler):
            sent.append(handler.headers.get("Authorization"))
            handler.answer(WEIGHTS["safetensors"])

        server.answers, cdn.answers = [redirect], [content]
        fetch("hf://timm/net")
    assert sent == ["Bearer secret", None]


def test_file_that_differs_from_the_hash_that_the_hub_states_is_not_kept(server, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", server.address("").rstrip("/"))
    server.answers = [answer(WEIGHTS["safetensors"], X_Linked_Etag=f'"{"0" * 64}"')]
    with pytest.raises(zoo.InputError, match="damaged on its way: the hub states its sha256:0000"):
        fetch("hf://timm/net")
    assert cached() == []


def test_commit_of_a_hub_repository_is_requested(server, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", server.address("").rstrip("/"))
    server.answers = [answer(WEIGHTS["safetensors"])]
    first, second = fetch(f"hf://timm/net@{'a' * 40}"), fetch("hf://timm/net")
    assert first != second
    assert [path for path, _ in server.requests] == [
        f"/timm/net/resolve/{revision}/model.safetensors" for revision in ("a" * 40, "main")
    ]


@pytest.mark.parametrize(
    "source", ["hf://timm", "hf://../net", "hf://timm/../x", "hf://timm/a/b", "hf://timm/net@../x"]
)
def test_source_that_names_no_repository_is_refused(server, source):
    with pytest.raises(zoo.InputError, match="is not a repository on the hub"):
        fetch(source)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[]", "not a JSON object"),
        (b"{", "not a JSON object"),
        (b'{"a":' * 50_000, "not a JSON object"),
        (b'{"architecture": 5}', r"does not describe a timm model: architecture: .*\(got 5\)"),
        (b'{"architecture": "resnet50"}', "mean: Field required"),
        (b'{"architecture": "resnet50", "mean": [0, 0, 0], "std": [1, 0, 1]}', "greater than 0"),
        (b'{"architecture": "resnet50", "mean": [0, 0, 0], "std": [1, 1, 1], "num_classes": -1}', "num_classes"),
    ],
)
def test_damaged_description_of_a_hub_repository_is_not_kept(server, monkeypatch, content, message):
    monkeypatch.setenv("HF_ENDPOINT", server.address("").rstrip("/"))
    server.answers = [answer(content)]
    with pytest.raises(zoo.InputError, match=message):
        zoo.create_model("resnet50", weights="hf://timm/net")
    assert [name for name in cached() if name != "first-use.json"] == []


def closed_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return unused.getsockname()[1]


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


def test_transfer_that_hardly_moves_is_given_up(server, monkeypatch):
    monkeypatch.setattr(transfer, "SILENT_SECONDS", 0.3)

    def drip(handler):
        handler.answer(b"", length=10**6)
        for _ in range(100):
            handler.wfile.write(b"x")
            time.sleep(0.1)

    server.answers = [drip]
    with pytest.raises(zoo.InputError, match="arrives at less than 1 KiB per second"):
        fetch(server.address("w.safetensors"))


def test_server_that_falls_silent_is_tried_again_and_given_up(server, monkeypatch):
    monkeypatch.setattr(transfer, "SILENT_SECONDS", 0.2)
    server.answers = [lambda handler: (handler.answer(b"x", length=10), time.sleep(1))]
    with pytest.raises(zoo.InputError, match=r"127\.0\.0\.1 stopped sending, 4 times"):
        fetch(server.address("w.safetensors"))


@pytest.fixture
def tagged(server, monkeypatch):
    """resnet20 with weights of no published hash; sets what is served."""

    def tag(content: bytes) -> str:
        (server.folder / "net.safetensors").write_bytes(content)
        address = server.address("net.safetensors")
        entry = Pretrained.model_construct(source=address, layout="timm", pixels="signed", labels="digits")
        card = registry._cards()["resnet18"].model_copy(update={"pretrained": {"served": entry}})
        monkeypatch.setitem(registry._cards(), "resnet18", card)
        return address

    return tag


def test_first_use_that_fails_to_load_is_discarded(tagged):
    tagged(WEIGHTS["safetensors"])
    with pytest.raises(zoo.InputError, match=r"only in the file 1: conv/kernel.*were removed from the cache"):
        zoo.create_model("resnet18", weights="served")
    assert cached() == ["first-use.json"]
    assert json.loads((cache_folder() / "first-use.json").read_text()) == {}


def test_first_use_recorded_without_a_look_at_its_content_is_discarded(tagged, server):
    """Caches of earlier versions can hold the login page of a network."""
    address = tagged(WEIGHTS["safetensors"])
    path = fetch(address)
    path.write_bytes(PORTAL)
    records = cache_folder() / "first-use.json"
    records.write_text(json.dumps({address: f"sha256:{transfer.hashlib.sha256(PORTAL).hexdigest()}"}))
    with pytest.raises(zoo.InputError, match=r"it is an HTML page.* were removed from the cache"):
        zoo.create_model("resnet18", weights="served")
    assert cached() == ["first-use.json"]


def test_files_of_the_user_are_never_forgotten(server, tmp_path):
    fetch(server.address("w.safetensors"))
    (tmp_path / "w.h5").write_bytes(WEIGHTS["safetensors"])
    assert not forget(tmp_path / "w.h5")
    assert cached() == ["first-use.json", "w.safetensors"]


@pytest.mark.parametrize("records", [b"[]", b'{"a": 5}', b"\xff", b"{", b'{"a":' * 50_000])
def test_damaged_records_are_reported(server, records):
    cache_folder().mkdir()
    (cache_folder() / "first-use.json").write_bytes(records)
    with pytest.raises(zoo.InputError, match=r"first-use\.json cannot be read"):
        fetch(server.address("w.safetensors"))


def test_shared_cache_that_cannot_be_written_is_used(server, caplog):
    """As root every folder can be written, so the lock is a folder here."""
    (cache_folder() / "first-use.json.lock").mkdir(parents=True)
    assert fetch(server.address("w.safetensors")).read_bytes() == WEIGHTS["safetensors"]
    assert "first-use.json cannot be written" in caplog.text
    assert fetch(server.address("w.safetensors")).is_file()


def test_cache_on_a_full_disk_keeps_nothing(server, monkeypatch):
    def write(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(transfer, "_write", write)
    with pytest.raises(zoo.InputError, match=r"cannot be written: No space left on device; POCKETZOO_CACHE can name"):
        fetch(server.address("w.safetensors"), "md5:" + "0" * 32)
    assert cached() == []


def test_cache_that_names_no_folder_is_reported(server, monkeypatch):
    monkeypatch.setenv("POCKETZOO_CACHE", "~nobody-of-this-name/cache")
    with pytest.raises(zoo.InputError, match="POCKETZOO_CACHE is '~nobody"):
        fetch(server.address("w.safetensors"))


CHILD = """
import sys
from pocketzoo.zoo.pretrained.download import fetch
print(fetch(*sys.argv[1:]))
"""


def test_two_processes_share_a_download_and_a_killed_one_is_continued(server, monkeypatch, caplog):
    published = f"md5:{transfer.hashlib.md5(WEIGHTS['safetensors']).hexdigest()}"
    stalled, go_on = threading.Event(), threading.Event()

    def stall(handler):
        handler.answer(WEIGHTS["safetensors"][:20_000], length=len(WEIGHTS["safetensors"]))
        handler.wfile.flush()
        stalled.set()
        go_on.wait(30)

    rest = break_off(10**6)
    server.answers = [stall, rest]
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, server.address("w.safetensors"), published], stdout=-1, stderr=-1
    ) as child:
        assert stalled.wait(60)
        got = []
        with caplog.at_level(logging.WARNING):
            second = threading.Thread(target=lambda: got.append(fetch(server.address("w.safetensors"), published)))
            second.start()
            while "Another process downloads w.safetensors" not in caplog.text:
                time.sleep(0.01)
            time.sleep(0.2)  # the child has written what it got
            os.kill(child.pid, signal.SIGKILL)
            second.join(60)
        go_on.set()
    assert got[0].read_bytes() == WEIGHTS["safetensors"]
    assert [byte_range for _, byte_range in server.requests] == [None, "bytes=20000-"]
    assert cached() == ["w.safetensors"]


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


OK = b"HTTP/1.1 200 OK\r\n"
RAW = {
    "no answer": b"",
    "no HTTP": b"hello\r\n\r\n",
    "escapes": b"\x1b]0;title\x07 200\r\n\r\n",
    "another version": b"HTTP/9.9 200 OK\r\n\r\n",
    "unknown status": b"HTTP/1.1 999 X\r\n\r\n",
    "endless header": OK + b"X: " + b"a" * 100_000 + b"\r\n\r\n",
    "many headers": OK + b"X: a\r\n" * 500 + b"\r\n",
    "damaged chunk": OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "cut chunk": OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab",
    "negative length": OK + b"Content-Length: -5\r\n\r\nabc",
    "two lengths": OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
    "huge length": OK + b"Content-Length: 99999999999999999999999\r\n\r\nabc",
    "unknown encoding": OK + b"Content-Encoding: zork\r\nContent-Length: 3\r\n\r\nabc",
    "seven encodings": OK + b"Content-Encoding: gzip, gzip, gzip, gzip, gzip, gzip, gzip\r\n\r\nabc",
    "redirect nowhere": b"HTTP/1.1 302 F\r\n\r\n",
    "redirect to no address": b"HTTP/1.1 302 F\r\nLocation: http://[::1\r\n\r\n",
    "redirect to no port": b"HTTP/1.1 302 F\r\nLocation: http://a:99999999/\r\n\r\n",
    "redirect in no text": b"HTTP/1.1 302 F\r\nLocation: http://\xff\xfe/\r\n\r\n",
    "a part of what": b"HTTP/1.1 206 P\r\nContent-Range: zork\r\n\r\nabc",
}


@pytest.mark.parametrize("kind", RAW)
def test_answer_that_no_server_gives_is_one_sentence_without_control_characters(server, kind):
    server.answers = [lambda handler: handler.wfile.write(RAW[kind])]
    with pytest.raises(zoo.InputError) as refused:
        fetch(server.address("w.safetensors"))
    assert str(refused.value).isprintable()
    assert cached() == []


def test_interrupted_compressed_transfer_starts_again(server):
    def cut(handler):
        handler.answer(gzip.compress(WEIGHTS["safetensors"])[:5000], length=10**5, ETag='"v1"', Content_Encoding="gzip")

    server.answers = [cut, answer(WEIGHTS["safetensors"], length=len(WEIGHTS["safetensors"]), ETag='"v1"')]
    assert fetch(server.address("w.safetensors")).read_bytes() == WEIGHTS["safetensors"]
    assert [byte_range for _, byte_range in server.requests] == [None, None]
