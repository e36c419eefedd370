"""A model's own files name no file outside the bundle."""

from __future__ import annotations

import json

import pytest

from tetkik.bundle import open_bundle
from tetkik.bundle.store import export_bundle, import_bundle, write_manifest
from tetkik.errors import BundleCorrupt

onnx = pytest.importorskip("onnx")
pytestmark = pytest.mark.attack


def tensor(location: str):
    made = onnx.TensorProto(name="w", data_type=1, dims=[2], data_location=1)
    made.external_data.add(key="location", value=location)
    made.external_data.add(key="length", value="8")
    return made


def initializer(location):
    return onnx.ModelProto(graph=onnx.GraphProto(initializer=[tensor(location)]))


def node(*attributes):
    return onnx.NodeProto(op_type="If", attribute=attributes)


def in_a_node(location):
    attribute = onnx.AttributeProto(name="value", type=4, t=tensor(location))
    return onnx.ModelProto(graph=onnx.GraphProto(node=[node(attribute)]))


def in_a_branch(location):
    branch = onnx.AttributeProto(name="then_branch", type=5, g=initializer(location).graph)
    return onnx.ModelProto(graph=onnx.GraphProto(node=[node(branch)]))


def in_a_function(location):
    attribute = onnx.AttributeProto(name="value", type=4, tensors=[tensor(location)])
    function = onnx.FunctionProto(name="f", node=[node(attribute)])
    return onnx.ModelProto(graph=onnx.GraphProto(), functions=[function])


def in_a_sparse_tensor(location):
    sparse = onnx.SparseTensorProto(values=tensor(location))
    return onnx.ModelProto(graph=onnx.GraphProto(sparse_initializer=[sparse]))


def in_training(location):
    training = onnx.TrainingInfoProto(algorithm=initializer(location).graph)
    return onnx.ModelProto(graph=onnx.GraphProto(), training_info=[training])


PLACES = [initializer, in_a_node, in_a_branch, in_a_function, in_a_sparse_tensor, in_training]


@pytest.fixture
def holding(tmp_path, make_bundle):
    """A sound bundle, and one with more files, hashed as its maker would."""

    def hold(**files):
        made = make_bundle(tmp_path / "b")
        for name, content in files.items():
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            (made.path / name).write_bytes(data)
        write_manifest(made.path, made.manifest)
        return made.path

    return hold


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "location",
    ["../../etc/passwd", "/etc/passwd", "*/_ORT_MEM_ADDR_/*", "other.data", "tokens/vocab.txt", ""],
)
def test_onnx_weights_elsewhere_are_refused(holding, place, location):
    folder = holding(**{"model.onnx": place(location).SerializeToString()})
    with pytest.raises(BundleCorrupt, match=r"model\.onnx refers to"):
        open_bundle(folder)


def field(number: int, content: bytes) -> bytes:
    """A field with a length, its tag in as few bytes as it takes."""
    tag, length = number << 3 | 2, len(content)
    return (
        b"".join(
            bytes((value >> shift & 0x7F) | (0x80 if value >> shift + 7 else 0) for shift in shifts)
            for value, shifts in ((tag, _shifts(tag)), (length, _shifts(length)))
        )
        + content
    )


def _shifts(value: int) -> range:
    return range(0, max(value.bit_length(), 1), 7)


@pytest.mark.parametrize("number", [13, 13 + (1 << 29)])
def test_a_tag_beyond_32_bits_hides_nothing(holding, number):
    """C++ cuts it: field 13 + 2**29, whose tag is beyond 2**32, is `external_data` to the runtimes."""
    entry = onnx.StringStringEntryProto(key="location", value="/etc/passwd").SerializeToString()
    named = onnx.TensorProto(name="w", data_type=1, data_location=1).SerializeToString()
    graph = field(5, named + field(number, entry))
    folder = holding(**{"model.onnx": onnx.ModelProto(ir_version=8).SerializeToString() + field(7, graph)})
    with pytest.raises(BundleCorrupt):
        open_bundle(folder)


def test_they_are_refused_at_import(holding, tmp_path):
    folder = holding(**{"model.onnx": initializer("../x").SerializeToString()})
    with pytest.raises(BundleCorrupt, match="refers to"):
        import_bundle(folder, tmp_path / "models")
    assert not [path for path in (tmp_path / "models").iterdir() if not path.name.startswith(".")]


def test_weights_beside_the_model_are_allowed(holding, tmp_path):
    model = initializer("model.onnx.data").SerializeToString()
    folder = holding(**{"model.onnx": model, "model.onnx.data": bytes(8)})
    archive = export_bundle(open_bundle(folder), tmp_path / "b.zip")
    assert import_bundle(archive, tmp_path / "models").manifest.id == "ornek"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"ORTM" * 9,
        b"<?xml version='1.0'?><net/>",
        initializer("a").SerializeToString()[:-3],
        b"\x3b" * 20,
    ],
)
def test_what_is_no_onnx_is_refused(holding, content):
    with pytest.raises(BundleCorrupt, match="is not the file of a model"):
        open_bundle(holding(**{"model.onnx": content}))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.safetensors.index.json", {"weight_map": {"a": "../../other/model.safetensors"}}),
        ("tokenizer_config.json", {"vocab_file": "/etc/passwd"}),
        ("adapter_config.json", {"megatron_config": {"a": 1}, "megatron_core": "antigravity"}),
    ],
)
def test_other_files_of_models_name_no_file_elsewhere(holding, name, content):
    with pytest.raises(BundleCorrupt, match="refers to"):
        open_bundle(holding(**{name: content}))


def test_a_program_of_a_graphics_card_is_refused(holding):
    compiled = onnx.NodeProto(op_type="EPContext", domain="com.microsoft")
    model = onnx.ModelProto(graph=onnx.GraphProto(node=[compiled]))
    with pytest.raises(BundleCorrupt, match="EPContext"):
        open_bundle(holding(**{"model.onnx": model.SerializeToString()}))
