//! Containers; knows no Kubernetes. Holds nothing yet.
