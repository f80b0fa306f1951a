"""The gRPC edge of augmentation as a service, and its client."""
