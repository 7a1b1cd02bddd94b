"""Whole processes, used as people use them."""
