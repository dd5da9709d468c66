"""What may be asked: the messages of `protos/`, the table of methods, the errors, the encodings.

Knows no transport, no store and no rule of the product; `tidings.app` binds it to the domain.
"""
