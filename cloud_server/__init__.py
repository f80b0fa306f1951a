"""The cloud side: bundles and hints, and the gRPC edge in front of them. It never sees a photo."""
