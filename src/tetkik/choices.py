"""Values that a setting chooses from."""

from enum import StrEnum


class FindingsProvider(StrEnum):
    """What runs a network of findings."""

    ONNXRUNTIME = "onnxruntime"
    OPENVINO = "openvino"
    OPENVINO_BF16 = "openvino-bf16"


class Device(StrEnum):
    """On what models of findings, and networks of triage, run."""

    AUTO = "auto"
    """An NVIDIA GPU where there is one that the runner can use, else the processor."""
    CPU = "cpu"
    CUDA = "cuda"


class Cipher(StrEnum):
    """What seals at rest."""

    AES_256_GCM = "aes-256-gcm"
    CHACHA20_POLY1305 = "chacha20-poly1305"


class Marked(StrEnum):
    """What happens to a sentence that the grounding check objects to."""

    KEPT = "kept"
    """It stays, marked, until a person decides."""
    REMOVED = "removed"


class SmtpSecurity(StrEnum):
    """How e-mail is sent to the hospital's server."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"
    """In clear text: for a server on this machine."""


class ImageSharing(StrEnum):
    """Which language models get the image that a draft is about."""

    NEVER = "never"
    INSIDE = "inside"
    """One in the hospital."""
    OUTSIDE = "outside"
    """One outside it, too, where `llm_outside` allows it to be asked."""
