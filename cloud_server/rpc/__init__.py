"""The gRPC edge: thin servicers, interceptors, health, options and the server's life."""
