"""Repositories of the hub: tokens, hashes, commits and descriptions."""

import pytest
from support.downloads import WEIGHTS, answer, cached
from support.http_server import serve

from pocketzoo import zoo
from pocketzoo.zoo.pretrained.download import fetch


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
