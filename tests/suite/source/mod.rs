//! Registries, layouts and archives, honest and lying.

mod faults;
mod local;
mod parsers;
mod registry;
mod token;
