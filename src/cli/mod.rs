//! The command line: reads words, calls the library, prints. The only module that prints.
//!
//! ```text
//! words --args--> what to do --a file a command family--> library
//!                                |
//!          listing (template, table) | messages | progress --> output --> terminal, pipe or file
//! ```
//!
//! Guarantees: standard output carries only what was asked for; nothing foreign reaches a terminal
//! raw; an error is one line with a hint, and the exit status says which kind; a closed pipe is no
//! error. Nothing here decides what an image is or where it is kept: that is the library's.

mod archive;
pub mod args;
mod auth_file;
mod chroot;
mod complete;
mod context;
mod diff;
mod env_file;
mod error;
mod escape;
mod extract;
mod files;
mod filter;
mod glob;
mod hint;
mod history;
mod image_list;
mod images;
mod inspect;
mod layers;
mod listing;
mod local;
mod logger;
mod login;
mod mount_helper;
mod mount_options;
mod mounts;
mod output;
mod progress;
mod pull;
mod refuse;
mod registry;
mod remove;
mod shell;
mod stats;
mod suggest;
mod table;
pub mod template;
mod units;
mod usage;
mod verify;
mod which;

use std::ffi::OsString;

use clap::FromArgMatches;

use crate::sys::memory;
use crate::sys::signal::survive_file_size_limit;
use args::{Cli, Command, Top};
use context::Context;
use error::{Error, status};

/// Runs the program with its words, the first of which is its name. Returns the exit status.
pub fn run(words: impl IntoIterator<Item = OsString>) -> u8 {
    let words: Vec<OsString> = words.into_iter().collect();
    survive_file_size_limit();
    if shell::asks_for_completion() {
        return complete(words);
    }
    if mount_helper::is_called(&words) {
        return help_mount(&words);
    }
    execute(words)
}

/// The work of mount(8).
fn help_mount(words: &[OsString]) -> u8 {
    let status = match mount_helper::translate(words) {
        Ok(words) => words.map_or(0, execute),
        Err(error) => {
            output::Output::new(output::ColorChoice::Auto, false).error(&error);
            error.status()
        }
    };
    mount_helper::status(status)
}

fn execute(words: Vec<OsString>) -> u8 {
    let cli = match parse(words) {
        Ok(cli) => cli,
        Err(error) => return refuse::refuse(&error),
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
        Command::Pull(args) => pull::pull(context, args),
        Command::Mount(args) => mounts::mount(context, args),
        Command::Umount(args) => mounts::umount(context, args),
        Command::Mounts(args) => mounts::mounts(context, args),
        Command::Stats(args) => stats::stats(context, args),
        Command::Chroot(args) => chroot::chroot(context, args),
        Command::Keep(args) => chroot::keep(args),
        Command::Files(args) => files::files(context, args),
        Command::Cat(args) => extract::cat(context, args),
        Command::Cp(args) => extract::copy(context, args),
        Command::Export(args) => extract::export(context, args),
        Command::Ls(args) => images::list(context, args),
        Command::Inspect(args) => inspect::inspect(context, args),
        Command::History(args) => history::history(context, args),
        Command::Layers(args) => layers::layers(context, args),
        Command::Which(args) => which::which(context, args),
        Command::Diff(args) => diff::diff(context, args),
        Command::Rm(args) => remove::remove(context, args),
        Command::Tag(args) => remove::tag(context, args),
        Command::Prune(args) => remove::prune(context, args),
        Command::Load(args) => archive::load(context, args),
        Command::Search(args) => registry::search(context, args),
        Command::Manifest(args) => registry::manifest(context, args),
        Command::Platforms(args) => registry::platforms(context, args),
        Command::Login(args) => login::login(context, args),
        Command::Logout(args) => login::logout(context, args),
        Command::Save(args) => archive::save(context, args),
        Command::Df(args) => usage::df(context, args),
        Command::Verify(args) => verify::verify(context, args),
        Command::Info(args) => usage::info(context, args),
        Command::Completion(args) => shell::completion(context, args),
        Command::Man(args) => shell::man(context, args),
    }
}
