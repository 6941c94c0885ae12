//! The table file of an image's tree: written once, mapped, read in place.
//!
//! docs/tree-format.md draws it. Guarantees: opening reads the header and the table of checks,
//! never a row; no byte is used before the BLAKE3 of its 64 KiB chunk matched, so damage is an
//! error and never other bytes; every offset and number inside is bounds-checked besides, so that
//! no file whatever can cause a panic, a read outside it or an endless loop. Lookups are binary
//! searches over contiguous siblings and allocate nothing. It relies on store files never being
//! changed in place, and does not know what a layer's bytes are.

mod check;
mod following;
mod format;
mod open;
mod read;
mod walk;
mod write;

pub use following::Following;
pub(super) use format::VERSION;
pub use read::ImageTree;
pub use write::write;
