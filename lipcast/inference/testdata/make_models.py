"""Makes the tiny models of the inference tests, the same bytes every time.

From the repository's root: PYTHONPATH=. .deps/python/bin/python lipcast/inference/testdata/make_models.py
"""

from pathlib import Path

import onnx
from onnx import TensorProto

from tests.markers.models import Graph, future_opset, half_precision, self_made_op

HERE = Path(__file__).resolve().parent


def mix(batch: int | str) -> onnx.ModelProto:
    """a [N,3], b [N,2] -> sum = a + mean(b) [N,3], twice = 2 b [N,2]."""
    g = Graph()
    mean = g.node("ReduceMean", "b", axes=[1], keepdims=1)
    g.node("Add", "a", mean, output="sum")
    g.node("Mul", "b", g.constant(2.0), output="twice")
    return g.model(
        {"a": [batch, 3], "b": [batch, 2]}, {"sum": [batch, 3], "twice": [batch, 2]}
    )


def same(
    shape: list[int | str], element: int = TensorProto.FLOAT, op: str = "Identity"
) -> onnx.ModelProto:
    """x -> y, of one shape and element type."""
    g = Graph()
    g.node(op, "x", output="y")
    return g.model({"x": shape}, {"y": shape}, element)


def weighty() -> onnx.ModelProto:
    """x [N,64] -> y = x W [N,64], W = 2 I: its stored weights make most of the file."""
    g = Graph()
    weight = [
        [2.0 if row == column else 0.0 for column in range(64)] for row in range(64)
    ]
    g.node("MatMul", "x", g.constant(weight), output="y")
    return g.model({"x": ["N", 64]}, {"y": ["N", 64]})


def main() -> None:
    """Writes every model beside this file."""
    models = {
        "mix_free": mix("N"),
        "mix_1": mix(1),
        "mix_8": mix(8),
        "half_edges": half_precision(same(["N", 4])),
        "half_inside": same(["N", 4], TensorProto.FLOAT16, "Neg"),
        "integers": same(["N", 4], TensorProto.INT64),
        "scalar": same([]),
        "nine_dimensions": same(["N", 1, 1, 1, 1, 1, 1, 1, 2]),
        "free_side": same(["N", 2, "side"]),
        "weighty": weighty(),
    }
    data = {name: model.SerializeToString() for name, model in models.items()}
    data["future_opset"] = future_opset(mix("N"))
    data["own_op"] = self_made_op(mix("N"))
    for name, content in data.items():
        assert len(content) < 20_000, name
        (HERE / f"{name}.onnx").write_bytes(content)


if __name__ == "__main__":
    main()
