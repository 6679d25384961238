"""Servers that refuse, stop, redirect or send what no server sends."""

import time
from pathlib import Path

import pytest
from support.downloads import WEIGHTS, answer, break_off, cached

from pocketzoo import zoo
from pocketzoo.zoo.pretrained import network_errors, transfer
from pocketzoo.zoo.pretrained.download import fetch


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
