"""Gradient graphs: reverse mode over ONNX with standard operators only.

`build_gradient_graph` turns a recogniser's forward graph into a plain inference graph that returns loss,
input gradient and embedding; `store_weights` makes either kind of graph small. Neither needs torch.
"""

from models.gradients.build import OPSET, build_gradient_graph
from models.gradients.compress import WeightType, store_weights
from models.gradients.simplify import simplify
from models.gradients.table import SUPPORTED

__all__ = ["OPSET", "SUPPORTED", "WeightType", "build_gradient_graph", "simplify", "store_weights"]
