"""The wire: generated stubs, size limits, channel options, and errors to and from gRPC status."""
