//! The union: every sentence of SEMANTICS.md on merging by name, any layers against the reference
//! model, what that found, and tables whose bytes were changed.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod compare;
mod damage;
mod differ;
mod format;
mod found;
mod history;
mod links;
mod places;
mod property;
mod reading;
mod whiteouts;
