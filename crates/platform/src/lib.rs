//! What upstream Kubernetes lacks, as parts that run on any cluster. Holds nothing yet.
