//! Bytes of files: decoded, checked, extracted, spilled, damaged.

mod damage;
mod extract;
mod read;
mod swap;
