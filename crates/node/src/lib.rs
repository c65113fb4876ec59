//! A pod's life on its node. Holds nothing yet.

pub mod network;
