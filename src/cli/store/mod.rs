//! Commands about the store: `df`, `info`, `verify`.
//!
//! They only read, but for `verify --repair`.

pub mod df;
pub mod info;
pub mod verify;
