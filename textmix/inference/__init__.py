"""Predictions: for texts and tables, in torch or ONNX, and the files that they go to."""
