//! What one layer adds, changes and wastes.

mod figures;
mod look;
