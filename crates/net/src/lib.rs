//! Kernel networking and the DNS server; receives data, watches nothing. Holds nothing yet.
