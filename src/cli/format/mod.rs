//! The forms of what is printed: a listing's rows as table, JSON or template; sizes, times, short texts.
//!
//! ```text
//! rows of fields --listing--> template --table--> lines
//! ```
//!
//! Knows nothing of images: a command makes rows of [`crate::template::Struct`]s and says which
//! columns there are. Sizes and times are written as Docker writes them ([`units`]).

mod listing;
pub mod table;
mod text;
pub mod units;

pub use listing::{Columns, Format, template_error};
pub use text::{ellipsis, indented, short};
