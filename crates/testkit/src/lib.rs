//! For tests alone: golden files, seeds, a clock that a test moves, builders of objects.

