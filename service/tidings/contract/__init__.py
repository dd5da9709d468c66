"""The contract: the messages of `protos/`, the table of methods, the errors, the encodings.

Independent of transports, stores and the domain; `tidings.app` binds it to the domain.
"""
