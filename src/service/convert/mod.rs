//! Between messages and the core's types, syntax only: what is well-formed but cannot be is for the
//! core to refuse.

pub mod activity;
pub mod columns;
pub mod credential;
pub mod data_access;
pub mod element_list;
pub mod emergency;
pub mod group;
pub mod organization;
pub mod place;
pub mod principal;
pub mod relation;
pub mod role;
pub mod row;
pub mod separation;
pub mod value;
