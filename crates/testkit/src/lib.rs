//! For tests and developers: holds the program that writes the tables of built-in schemas (`examples/schema_facts.rs`).
