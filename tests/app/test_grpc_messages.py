"""The messages that we make are those of the protocol: a client's generated ones have the same fields and numbers."""

from __future__ import annotations

import pytest
from google.protobuf.descriptor_pb2 import DescriptorProto

from roadworthy.app.grpc_messages import messages

service_pb2 = pytest.importorskip("tritonclient.grpc.service_pb2")


def shape_of(message):
    fields = sorted((f.name, f.number, f.type, f.label, f.type_name, f.HasField("oneof_index")) for f in message.field)
    inner = sorted(map(shape_of, message.nested_type), key=lambda each: each[0])
    return message.name, fields, inner, [each.name for each in message.oneof_decl], message.options.map_entry


def described(descriptor):
    message = DescriptorProto()
    descriptor.CopyToProto(message)
    # The protocol has it, and the client of Triton does not.
    for parts, name in ((message.field, "properties"), (message.nested_type, "PropertiesEntry")):
        for i in [i for i, each in enumerate(parts) if each.name == name]:
            del parts[i]
    return shape_of(message)


@pytest.mark.parametrize("name", vars(messages))
def test_a_message_is_what_the_client_takes_it_for(name):
    theirs = service_pb2.DESCRIPTOR.message_types_by_name[name]
    assert described(getattr(messages, name).DESCRIPTOR) == described(theirs)


def test_bytes_of_one_are_read_by_the_other():
    ours = messages.ModelInferRequest(model_name="m", raw_input_contents=[b"\1"])
    ours.parameters["timeout"].uint64_param = 5
    ours.inputs.add(name="x", datatype="FP32", shape=[1, -1]).contents.fp32_contents.append(0.5)
    theirs = service_pb2.ModelInferRequest.FromString(ours.SerializeToString())
    assert messages.ModelInferRequest.FromString(theirs.SerializeToString()) == ours
    assert (theirs.parameters["timeout"].uint64_param, theirs.inputs[0].contents.fp32_contents[0]) == (5, 0.5)


def test_a_model_may_tell_properties():
    told = messages.ModelMetadataResponse(properties={"owner": "x"})
    assert messages.ModelMetadataResponse.FromString(told.SerializeToString()).properties["owner"] == "x"
