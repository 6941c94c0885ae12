//! Where text goes: standard output and error, progress bars, log lines, files.
//!
//! ```text
//! data, messages --output--> escape, colour --> terminal, pipe
//! ```
//!
//! Nothing foreign reaches a terminal raw: [`escape()`] is the one definition of harmless, and
//! every way to a terminal goes through it.

mod escape;
pub mod logger;
mod output;
mod output_file;
mod progress;

pub use escape::{escape, escape_lines};
pub use output::{ColorChoice, Output, Style};
pub use output_file::{cut_off, write_file};
pub use progress::Progress;
