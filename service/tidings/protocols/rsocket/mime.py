"""Well-known MIME types: the 7-bit ids of the specification's WellKnownMimeTypes, and the names of this project."""

from types import MappingProxyType
from typing import Final

COMPOSITE: Final = "message/x.rsocket.composite-metadata.v0"
ROUTING: Final = "message/x.rsocket.routing.v0"
TRACING_ZIPKIN: Final = "message/x.rsocket.tracing-zipkin.v0"
AUTHENTICATION: Final = "message/x.rsocket.authentication.v0"
ACCEPT_MIME_TYPES: Final = "message/x.rsocket.accept-mime-types.v0"
MIME_TYPE: Final = "message/x.rsocket.mime-type.v0"
BEARER_LEGACY: Final = "message/x.rsocket.authentication.bearer.v0"  # has no id; the content is the bare token
TEXT_PLAIN: Final = "text/plain"

WELL_KNOWN: Final = MappingProxyType({
    0x00: "application/avro",
    0x01: "application/cbor",
    0x02: "application/graphql",
    0x03: "application/gzip",
    0x04: "application/javascript",
    0x05: "application/json",
    0x06: "application/octet-stream",
    0x07: "application/pdf",
    0x08: "application/vnd.apache.thrift.binary",
    0x09: "application/vnd.google.protobuf",
    0x0A: "application/xml",
    0x0B: "application/zip",
    0x0C: "audio/aac",
    0x0D: "audio/mp3",
    0x0E: "audio/mp4",
    0x0F: "audio/mpeg3",
    0x10: "audio/mpeg",
    0x11: "audio/ogg",
    0x12: "audio/opus",
    0x13: "audio/vorbis",
    0x14: "image/bmp",
    0x15: "image/gif",
    0x16: "image/heic-sequence",
    0x17: "image/heic",
    0x18: "image/heif-sequence",
    0x19: "image/heif",
    0x1A: "image/jpeg",
    0x1B: "image/png",
    0x1C: "image/tiff",
    0x1D: "multipart/mixed",
    0x1E: "text/css",
    0x1F: "text/csv",
    0x20: "text/html",
    0x21: "text/plain",
    0x22: "text/xml",
    0x23: "video/H264",
    0x24: "video/H265",
    0x25: "video/VP8",
    0x26: "application/x-hessian",
    0x27: "application/x-java-object",
    0x28: "application/cloudevents+json",
    0x29: "application/x-capnp",
    0x2A: "application/x-flatbuffers",
    0x7A: MIME_TYPE,
    0x7B: ACCEPT_MIME_TYPES,
    0x7C: AUTHENTICATION,
    0x7D: TRACING_ZIPKIN,
    0x7E: ROUTING,
    0x7F: COMPOSITE,
})  # fmt: skip

WELL_KNOWN_IDS: Final = MappingProxyType({mime: number for number, mime in WELL_KNOWN.items()})
