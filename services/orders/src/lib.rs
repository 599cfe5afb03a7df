//! Orders: the order's life, its history and its live stream.
