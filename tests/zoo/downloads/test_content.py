"""Downloads whose content is not the weights that were asked for."""

import gzip

import numpy as np
import pytest
from safetensors.numpy import save
from support.downloads import PORTAL, WEIGHTS, answer, cached
from support.weight_files import legacy_h5, safetensors

from pocketzoo import zoo
from pocketzoo.zoo.pretrained import transfer
from pocketzoo.zoo.pretrained.download import fetch

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


def test_interrupted_compressed_transfer_starts_again(server):
    def cut(handler):
        handler.answer(gzip.compress(WEIGHTS["safetensors"])[:5000], length=10**5, ETag='"v1"', Content_Encoding="gzip")

    server.answers = [cut, answer(WEIGHTS["safetensors"], length=len(WEIGHTS["safetensors"]), ETag='"v1"')]
    assert fetch(server.address("w.safetensors")).read_bytes() == WEIGHTS["safetensors"]
    assert [byte_range for _, byte_range in server.requests] == [None, None]
