//! The files that operators keep in version control (FILES.md): an organization, and the cases that
//! test its decisions.
//!
//! [`OrganizationFile::parse`] makes rows of a file and [`write()`] makes a file of rows; between them
//! nothing is lost: the rows of `write(organization, rows)` are `rows`. [`CaseFile::parse`] reads cases, and
//! [`Candidates`] the records of a file, one at a time.
//! Both formats have a JSON Schema, for editors: [`schema_organization`], [`schema_cases`].
//!
//! What is checked here is what the file alone can say: its syntax, its keys, the alphabets of its
//! ids, what is given twice, and names that lead nowhere. What the *model* demands (cycles, scopes,
//! duplicate e-mail addresses, the conditions of rule 3.7) is core's, which knows it for every
//! change and not only for files; [`OrganizationFile::place`] points core's errors into the file.
//!
//! ```text
//! acme.yaml:12:47: users[3].account: unknown account `emea`
//! ```
//!
//! Nothing is passed over. A section that a later version will understand is an error while it has
//! content: a separation of duties that got lost would give what it forbids.

mod candidates;
mod cases;
mod characters;
mod duties;
mod error;
mod fields;
mod flow;
mod head;
mod organization;
mod people;
mod records;
mod roles;
mod scalar;
mod schema;
mod super_organization;
mod write;
mod yaml;

#[cfg(test)]
mod tests;

pub use candidates::Candidates;
pub use cases::{Case, CaseContext, CaseFile, CaseRecord, Expected, Question};
pub use error::{FileError, FileErrors, MAX_ERRORS, Place};
pub use organization::{Known, OrganizationFile};
pub(super) use scalar::parse_duration;
pub use schema::{schema_cases, schema_organization};
pub use super_organization::SuperOrganizationFile;
pub use write::write;
