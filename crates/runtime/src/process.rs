//! What a process becomes before its program runs: user, capabilities, limits, system-call filter.

pub mod capabilities;
