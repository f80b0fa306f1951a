"""Importers: one module for each origin format, each giving a float ONNX forward graph."""
