//! One layer: a compressed tar stream becomes a table of contents (TOC) and decoding checkpoints.

mod cut;
pub mod entries;
pub mod entry;
pub mod resume;
pub mod scan;
pub mod seekable;
pub mod span;
pub mod tar;
pub mod toc;
mod unpacked;

pub use entry::{ContentId, Entry, Extent, Kind, Time, Warning, WarningKind, Xattr};
pub use scan::{Expected, Outputs, ScanError, ScannedLayer, scan};
pub use toc::{Toc, TocError};
pub use unpacked::Unpacked;

pub use crate::codec::DecodeError;
pub use crate::oci::Compression;
