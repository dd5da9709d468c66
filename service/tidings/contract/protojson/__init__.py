"""JSON of Protobuf messages, by plans made from the descriptors."""
