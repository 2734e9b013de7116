//! The command line: what `doorward` does when a person runs it.
pub mod file;
