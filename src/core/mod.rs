//! PURE: values in, values out. No async, I/O, clock, tracing or protobuf.
//!
//! ```text
//! id, model          what there is: identifiers and rows
//! draft (entities,   how rows become the next version: put, delete, check, flatten
//!   delete, flatten,
//!   policies)
//! pages, set, table  the version itself, laid out for decisions and shared with the one before
//! read               a version as rows again
//! change             what callers want changed, resolved against a version
//! decision           the rules of ACCESS-MODEL.md section 4: one walk over a version
//! condition          the language of data-access policies; not wired to decisions yet
//! presets            the shipped catalogues and roles, as data
//! ```

mod delete;
mod draft;
mod entities;
mod fault;
mod flatten;
mod policies;
mod read;

pub mod change;
pub mod condition;
pub mod decision;
pub mod id;
pub mod limits;
pub mod model;
pub mod pages;
pub mod presets;
pub mod set;
pub mod table;

pub use draft::{Draft, Finished};
pub use fault::{Fault, Violation};
pub use read::Listed;
