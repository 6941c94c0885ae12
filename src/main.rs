//! The program: hands the words of the command line to [`shalefs::cli`] and ends with its status.

#[allow(clippy::exit)] // the one place that does
fn main() {
    std::process::exit(i32::from(shalefs::cli::run(std::env::args_os())));
}
