//! PURE: values in, values out. No async, I/O, clock, tracing or protobuf.
//!
//! ```text
//! id, model          what there is: identifiers and rows
//! draft (entities,   how rows become the next version: put, delete, check, flatten
//!   delete, flatten,
//!   policies, sign_ons)
//! pages, set, table  the version itself, laid out for decisions and shared with the one before;
//!   principal, edge, holdings: its parts that a decision reads; nesting: groups in groups
//! read, domains      a version as rows again, and what hangs on its e-mail domains
//! change             what callers want changed, resolved against a version
//! decision, visible  the rules of ACCESS-MODEL.md sections 4 to 6: one walk over a version
//! lists              element lists: the safelist, and the super-organization with its denylist
//! filter, columns    the same walk, asked of many records; records by column
//! allowed            the same walk, asked of everyone: who may do this here
//! plan               the same walk as a filter for the caller's database
//! explain            what that walk said, and its proof
//! review             who holds what, as reports over all principals
//! condition          the language of data-access policies
//! sample             a condition that is not stored, tried
//! handing,           who gives what to whom by a change, and who is left to administer: rule 3.7
//!   administrators
//! activity           what a change did, for the activity log: rule 7.5
//! emergency          roles that users activate for themselves: rule 7.4
//! separation         who holds too many roles of a constraint: rules 7.3 and 4.5
//! packed             principals' attributes, small and readable in place
//! presets            the shipped catalogues and roles, as data
//! ```

mod delete;
mod draft;
mod edge;
mod entities;
mod fault;
mod flatten;
mod hold;
mod holdings;
mod nesting;
mod packed;
mod policies;
mod question;
mod read;
mod sign_ons;
mod sketch;
mod visible;

pub mod activity;
pub mod administrators;
pub mod allowed;
pub mod change;
pub mod columns;
pub mod condition;
pub mod decision;
pub mod domains;
pub mod emergency;
pub mod explain;
pub mod filter;
pub mod handing;
pub mod id;
pub mod limits;
pub mod lists;
pub mod model;
pub mod pages;
pub mod plan;
pub mod presets;
pub mod principal;
pub mod review;
pub mod sample;
pub mod separation;
pub mod set;
pub mod table;

pub use draft::{Draft, Finished};
pub use fault::{Fault, Violation};
pub use read::Listed;
