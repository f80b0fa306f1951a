"""Importers: from an origin's files to the zoo's canonical ONNX; only weights and graph are read."""
