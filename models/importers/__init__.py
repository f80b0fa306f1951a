"""Importers: from an origin's files to the zoo's canonical ONNX; weights and graph only, nothing is executed."""
