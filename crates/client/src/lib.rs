//! The only door to the API for controllers, nodes and platform parts. Holds nothing yet.
