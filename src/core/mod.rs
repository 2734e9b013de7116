//! PURE: values in, values out. No async, I/O, clock, tracing or protobuf.
pub mod id;
pub mod model;
