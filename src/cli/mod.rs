//! The command line: reads words, calls the library, prints. The only module that prints.
//!
//! ```text
//! words --args--> what to do --ROOM/COMMAND.rs--> library
//!                                |
//!          format (listing, template, units) | messages | progress --terminal--> terminal, pipe, file
//! ```
//!
//! A command is in the file of its name, in the room of its family:
//!
//! | room | what is there |
//! |---|---|
//! | `args` | words: options and help texts of each family, completion |
//! | `images`, `files`, `mounts`, `registries`, `store`, `shell` | the commands |
//! | `filter` | `--filter` and its patterns |
//! | `format` | listings, tables, sizes, times |
//! | `terminal` | output, colour, escaping, progress, log lines, files |
//! | `error` | messages, hints, exit statuses |
//! | `context`, `local` | what every command has; names of images in the store |
//!
//! Guarantees: standard output carries only what was asked for; nothing foreign reaches a terminal
//! raw; an error is one line with a hint, and the exit status says which kind; a closed pipe is no
//! error, but for an archive. Nothing here decides what an image is or where it is kept: that is the library's.

pub mod args;
mod context;
mod error;
mod files;
mod filter;
mod format;
mod images;
mod local;
mod mounts;
mod registries;
mod shell;
mod store;
mod terminal;

use std::ffi::OsString;

use clap::FromArgMatches;

use crate::sys::memory;
use crate::sys::signal::survive_file_size_limit;
use args::{Cli, Command, Top};
use context::Context;
use error::{Error, invalid_arguments, status};
use terminal::{ColorChoice, Output, logger};

/// Runs the program with its words, the first of which is its name. Returns the exit status.
pub fn run(words: impl IntoIterator<Item = OsString>) -> u8 {
    let words: Vec<OsString> = words.into_iter().collect();
    survive_file_size_limit();
    if shell::completion::is_asked_for() {
        return complete(words);
    }
    if mounts::helper::is_called(&words) {
        return help_mount(&words);
    }
    execute(words)
}

/// The work of mount(8).
fn help_mount(words: &[OsString]) -> u8 {
    let status = match mounts::helper::translate(words) {
        Ok(words) => words.map_or(0, execute),
        Err(error) => {
            Output::new(ColorChoice::Auto, false).error(&error);
            error.status()
        }
    };
    mounts::helper::status(status)
}

fn execute(words: Vec<OsString>) -> u8 {
    let cli = match parse(words) {
        Ok(cli) => cli,
        Err(error) => return invalid_arguments::refuse(&error),
    };
    memory::keep_small();
    logger::start(cli.global.log_level.as_deref(), cli.global.verbose);
    let mut context = Context::new(&cli.global);
    let (Top::Plain(command) | Top::Image { command }) = cli.command;
    let result = dispatch(&mut context, &command).and_then(|()| context.out.flush());
    match result {
        Ok(()) => 0,
        Err(error) => {
            if !matches!(error, Error::ClosedPipe) {
                context.out.error(&error);
            }
            error.status()
        }
    }
}

fn parse(words: Vec<OsString>) -> Result<Cli, clap::Error> {
    let matches = args::command().try_get_matches_from(args::plain(words))?;
    Cli::from_arg_matches(&matches)
}

fn complete(words: Vec<OsString>) -> u8 {
    let directory = std::env::current_dir().ok();
    let completer = clap_complete::CompleteEnv::with_factory(args::command);
    match completer.try_complete(words, directory.as_deref()) {
        Ok(_) => 0,
        // A shell that completes has no use for messages.
        Err(_) => status::FAILED,
    }
}

fn dispatch(context: &mut Context, command: &Command) -> Result<(), Error> {
    match command {
        Command::Pull(args) => images::pull::pull(context, args),
        Command::Mount(args) => mounts::mount::mount(context, args),
        Command::Umount(args) => mounts::umount::umount(context, args),
        Command::Mounts(args) => mounts::mounts::mounts(context, args),
        Command::Stats(args) => mounts::stats::stats(context, args),
        Command::Chroot(args) => mounts::chroot::chroot(context, args),
        Command::Keep(args) => mounts::chroot::keep(args),
        Command::Files(args) => files::files::files(context, args),
        Command::Cat(args) => files::cat::cat(context, args),
        Command::Cp(args) => files::cp::copy(context, args),
        Command::Export(args) => files::export::export(context, args),
        Command::Ls(args) => images::ls::list(context, args),
        Command::Inspect(args) => images::inspect::inspect(context, args),
        Command::History(args) => images::history::history(context, args),
        Command::Layers(args) => images::layers::layers(context, args),
        Command::Which(args) => images::which::which(context, args),
        Command::Diff(args) => images::diff::diff(context, args),
        Command::Rm(args) => images::rm::remove(context, args),
        Command::Tag(args) => images::tag::tag(context, args),
        Command::Prune(args) => images::prune::prune(context, args),
        Command::Load(args) => images::load::load(context, args),
        Command::Search(args) => registries::search::search(context, args),
        Command::Manifest(args) => registries::manifest::manifest(context, args),
        Command::Platforms(args) => registries::platforms::platforms(context, args),
        Command::Login(args) => registries::login::login(context, args),
        Command::Logout(args) => registries::logout::logout(context, args),
        Command::Save(args) => images::save::save(context, args),
        Command::Df(args) => store::df::df(context, args),
        Command::Verify(args) => store::verify::verify(context, args),
        Command::Info(args) => store::info::info(context, args),
        Command::Completion(args) => shell::completion::completion(context, args),
        Command::Man(args) => shell::man::man(context, args),
    }
}
