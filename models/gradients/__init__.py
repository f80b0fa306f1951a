"""Gradient graphs: reverse mode over ONNX with standard operators only."""
