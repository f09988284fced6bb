"""Prediction for texts and tables, with torch or ONNX, and the files that predictions are written to."""
