"""Convolutional networks in pure torch, and checkpoints of others read without running their code."""
