"""The laboratory: collect, clean, train, evaluate, compare, quantise, import.

Only the command line imports it; nothing here runs in a hospital.
"""
