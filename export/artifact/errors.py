"""Errors of an export that are not the user's input."""


class ConversionError(RuntimeError):
    """A converter failed; the message says where its output was saved."""


class ProofError(RuntimeError):
    """An artifact failed its validation; the message lists the failed gates with their figures."""
