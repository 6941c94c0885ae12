//! Spans and checkpoints: scanned, decoded, limited, kept in a TOC.

mod decode;
mod limits;
mod scan;
mod toc;
