"""Download of weights from a server on the loopback interface: complete, once, and verified."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from support import peers
from support.http_server import Handler, serve
from support.weight_files import legacy_h5

from pocketzoo import zoo
from pocketzoo.zoo import registry
from pocketzoo.zoo.cards import Pretrained
from pocketzoo.zoo.pretrained import transfer
from pocketzoo.zoo.pretrained.download import cache_folder, fetch
from pocketzoo.zoo.pretrained.weighted_layers import named_weights

CONTENT = legacy_h5({"conv/kernel": np.arange(2**18, dtype="float32")})


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("POCKETZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("POCKETZOO_OFFLINE", raising=False)
    monkeypatch.setattr(transfer, "WAITS", (0.0, 0.0))
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "w.h5").write_bytes(CONTENT)
    with serve(tmp_path / "served") as server:
        yield server


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@pytest.mark.parametrize(
    "published", [sha256(CONTENT), sha256(CONTENT)[:15], f"md5:{hashlib.md5(CONTENT).hexdigest()}", None]
)
def test_file_is_downloaded_once(server, published):
    paths = [fetch(server.address("w.h5"), published) for _ in range(2)]
    assert paths[0] == paths[1]
    assert paths[0].read_bytes() == CONTENT
    assert len(server.requests) == 1


def test_interrupted_download_is_resumed(server):
    server.most = 300_000
    with pytest.raises(zoo.InputError, match="cannot be downloaded"):
        fetch(server.address("w.h5"), sha256(CONTENT))
    assert [path.name for path in cache_folder().rglob("w.h5*") if path.suffix != ".lock"] == ["w.h5.part"]
    server.most = None
    assert fetch(server.address("w.h5"), sha256(CONTENT)).read_bytes() == CONTENT
    assert [byte_range for _, byte_range in server.requests] == [
        None,
        *["bytes=300000-"] * 3,
    ]  # the last is the second call's


def test_file_with_wrong_published_hash_is_deleted(server):
    with pytest.raises(zoo.InputError, match=r"is not the expected one: its md5 is"):
        fetch(server.address("w.h5"), "md5:" + "0" * 32)
    assert [path for path in cache_folder().rglob("*") if path.is_file() and path.suffix != ".lock"] == []


def test_modified_file_in_the_cache_is_refused(server):
    path = fetch(server.address("w.h5"), sha256(CONTENT))
    path.write_bytes(CONTENT[:-1] + b"x")
    with pytest.raises(zoo.InputError, match=r"was published\. Remove .*w\.h5 to download it again"):
        fetch(server.address("w.h5"), sha256(CONTENT))


def test_file_without_published_hash_is_refused_after_it_changes(server):
    path = fetch(server.address("w.h5"))
    path.unlink()
    (server.folder / "w.h5").write_bytes(CONTENT + b"more")
    with pytest.raises(zoo.InputError, match=r"recorded at its first use\. .* remove its line in .*first-use"):
        fetch(server.address("w.h5"))


@pytest.mark.parametrize("published", [sha256(CONTENT), None])
def test_offline_error_states_where_to_save_the_file(server, published, monkeypatch):
    monkeypatch.setenv("POCKETZOO_OFFLINE", "1")
    with pytest.raises(zoo.InputError, match=r"--offline\) is set. Or save the file as .*w\.h5 manually") as refused:
        fetch(server.address("w.h5"), published)
    path = Path(str(refused.value).partition("save the file as ")[2].removesuffix(" manually."))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(CONTENT)
    assert fetch(server.address("w.h5"), published) == path
    assert server.requests == []


def test_missing_url_is_reported(server):
    with pytest.raises(zoo.InputError, match=r"none\.h5 cannot be downloaded: 404"):
        fetch(server.address("none.h5"))


def test_concurrent_first_uses_are_all_recorded(server):
    addresses = [server.address(f"{number}.h5") for number in range(8)]
    for number in range(8):
        (server.folder / f"{number}.h5").write_bytes(CONTENT)
    with ThreadPoolExecutor() as pool:
        list(pool.map(fetch, addresses))
    assert json.loads((cache_folder() / "first-use.json").read_text()).keys() == set(addresses)


def test_unwritable_cache_is_reported(server, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("POCKETZOO_CACHE", str(tmp_path / "file"))
    with pytest.raises(zoo.InputError, match="cannot be written: Not a directory"):
        fetch(server.address("w.h5"))


@pytest.fixture
def tagged(server, monkeypatch, randomize_batch_norm):
    """resnet20 with published weights `served`."""
    model = randomize_batch_norm(zoo.create_model("resnet20"))
    path = server.folder / "resnet20.safetensors"
    save_file({name: weight.numpy() for name, weight in named_weights(model).items()}, path)
    entry = Pretrained.model_construct(
        source=server.address("resnet20.safetensors"),
        layout="pocketzoo",
        pixels="signed",
        labels="digits",
        hash=sha256(path.read_bytes()),
    )
    card = registry._cards()["resnet20"].model_copy(update={"pretrained": {"served": entry}})
    monkeypatch.setitem(registry._cards(), "resnet20", card)
    return model


def test_model_with_tag_downloads_its_weights(tagged, pixels):
    model = zoo.create_model("resnet20", weights="served")
    assert model.get_layer("head").labels == list("0123456789")
    images = pixels(2, 32, 32, 3)
    np.testing.assert_array_equal(model(images), tagged(images))


def test_tag_of_another_architecture_is_unknown(tagged):
    with pytest.raises(zoo.InputError, match="unknown weights for resnet32 'served'"):
        zoo.create_model("resnet32", weights="served")


@pytest.fixture
def hub(server, monkeypatch):
    """A repository `timm/net.mine` as the hub serves it: the commit and a hash in the headers of every file."""

    def do_head(handler):
        path = Path(handler.translate_path(handler.path))
        if not path.is_file():
            handler.send_error(404)
            return
        handler.send_response(200)
        handler.send_header("X-Repo-Commit", "0" * 40)
        handler.send_header("ETag", f'"{hashlib.sha256(path.read_bytes()).hexdigest()}"')
        handler.send_header("Content-Length", str(path.stat().st_size))
        handler.end_headers()

    monkeypatch.setattr(Handler, "do_HEAD", do_head)
    monkeypatch.setenv("HF_ENDPOINT", server.address("").rstrip("/"))
    folder = server.folder / "timm" / "net.mine" / "resolve" / "main"
    folder.mkdir(parents=True)
    return folder


def test_hub_repository_defines_its_own_normalization(hub):
    _, shapes = peers.read_state_dict(peers.STATE_DICTS / "timm-mobilenetv2_050.txt")
    tensors = {name: peers.drawn_tensor(name, shape, 2.0) for name, shape in shapes.items()}
    tensors |= {
        "classifier.weight": tensors["classifier.weight"][:3],
        "classifier.bias": tensors["classifier.bias"][:3],
    }
    save_file(tensors, hub / "model.safetensors")
    preprocessing = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}
    config = {"architecture": "mobilenetv2_050", "num_classes": 3, "label_names": ["a", "b", "c"]}
    (hub / "config.json").write_text(json.dumps(config | {"pretrained_cfg": preprocessing}))
    model = zoo.create_model("mobilenet_v2_050", weights="hf://timm/net.mine", input_shape=(64, 64, 3))
    assert model.get_layer("head").labels == ["a", "b", "c"]
    assert named_weights(model)["pixels/mean"].numpy() == pytest.approx(127.5)
    np.testing.assert_array_equal(
        named_weights(model)["head_dense/kernel"].numpy(), tensors["classifier.weight"].transpose()
    )


def test_hub_repository_of_another_architecture_is_refused(hub):
    (hub / "config.json").write_text(json.dumps({"architecture": "vit"}))
    with pytest.raises(zoo.InputError, match="timm's architecture 'vit', not that of resnet50v1"):
        zoo.create_model("resnet50v1", weights="hf://timm/net.mine")
    with pytest.raises(zoo.InputError, match=r"config\.json of hf://timm/none cannot be downloaded"):
        zoo.create_model("resnet50v1", weights="hf://timm/none")
