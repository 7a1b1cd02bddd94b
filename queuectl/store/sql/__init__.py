"""What two SQL engines share, over a few primitives that each brings."""
