"""The device's client as a local gRPC service, for apps and other languages on the same device."""
