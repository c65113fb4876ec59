//! A whole cluster in one process from a seed, for tests. Holds nothing yet.
