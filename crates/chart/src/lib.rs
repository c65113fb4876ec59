//! Go templates with Helm's functions, pure: chart and values in, manifests out. Holds nothing yet.
