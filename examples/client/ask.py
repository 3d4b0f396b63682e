"""Asks the bookshop's model for books, with nothing but the code that protoc generates from predict.proto:

python -m grpc_tools.protoc --proto_path=. --python_out=. --grpc_python_out=. predict.proto
python ask.py 127.0.0.1:8500
"""

import sys

import grpc
from predict_pb2 import DT_INT32, DT_STRING, PredictRequest, TensorProto
from predict_pb2_grpc import PredictionServiceStub


def strings(*values: str) -> TensorProto:
    """Some texts, as a tensor [values]."""
    shape = {"dim": [{"size": len(values)}]}
    return TensorProto(dtype=DT_STRING, tensor_shape=shape, string_val=[value.encode() for value in values])


def number(value: int) -> TensorProto:
    """A number, as a tensor without dimensions."""
    return TensorProto(dtype=DT_INT32, tensor_shape={}, int_val=[value])


context = {"reader_id": strings("r3"), "device": strings("phone")}
candidates = ["b139", "b43", "b999"]

with grpc.insecure_channel(sys.argv[1]) as channel:
    server = PredictionServiceStub(channel)

    best = server.Predict(
        PredictRequest(
            model_spec={"name": "bookshop", "signature_name": "recommend"},
            inputs={**context, "k": number(5), "exclude": strings("b60")},
        )
    ).outputs
    some = server.Predict(
        PredictRequest(
            model_spec={"name": "bookshop", "signature_name": "rank_ids"},
            inputs={**context, "items": strings(*candidates)},
        )
    ).outputs

for item, score in zip(best["items"].string_val, best["probability"].float_val, strict=True):
    print("recommended", item.decode(), f"{score:.4f}")
for item, score, known in zip(candidates, some["probability"].float_val, some["known"].bool_val, strict=True):
    print("ranked", item, f"{score:.4f}", "known" if known else "unknown")
