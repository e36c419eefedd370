"""Networks that see findings: our own in plain torch, and any image classifier of transformers."""

from tetkik.findings.networks.network import Network
from tetkik.findings.networks.registry import FAMILIES, Family, build, preprocessing_of

__all__ = ["FAMILIES", "Family", "Network", "build", "preprocessing_of"]
