"""Conversion of ONNX models to another precision; only the optimizer's image has its libraries.

What belongs here: whatever imports onnx or onnxruntime. `package.main` imports it where a request
asks for a conversion, and nowhere else.
"""
