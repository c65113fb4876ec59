//! Texts in, trees or Go's error texts out.
