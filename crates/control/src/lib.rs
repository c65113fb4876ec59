//! The controllers that upstream Kubernetes has too. Holds nothing yet.
