"""The decode step in C++: built as an optional extension when Tutti is installed."""
