//! One layer: a compressed tar stream becomes a table of contents (TOC) and decoding checkpoints.

mod cut;
mod decode;
pub mod entries;
pub mod entry;
mod gzip;
mod input;
mod other;
pub mod resume;
pub mod scan;
pub mod seekable;
pub mod span;
pub mod tar;
pub mod toc;
mod unpacked;
mod zstd;

pub use decode::{Compression, DecodeError};
pub use entry::{ContentId, Entry, Extent, Kind, Time, Warning, WarningKind, Xattr};
pub use scan::{Expected, Limits, Outputs, ScanError, ScannedLayer, scan};
pub use toc::{Toc, TocError};
pub use unpacked::Unpacked;
