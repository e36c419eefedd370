"""Convolutional networks in pure torch, checkpoints of others read without their code, ONNX Runtime."""
