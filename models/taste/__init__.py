"""What listeners like, and which pieces they get: arrays in, choices out; knows nothing of rows, people or files."""
