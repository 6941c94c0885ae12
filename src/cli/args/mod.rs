//! The command line as it can be written: commands, options, help texts.
//!
//! Names and options are Docker's where Docker has the command, and `shale image X` is the same as
//! `shale X`. Only what works is listed. Help, completion and manual pages come from this one
//! definition. Nothing is done here but reading words.

mod chroot;
pub mod complete;
mod deferred;
mod files;
mod images;
mod layers;
mod limits;
mod mounts;
mod registry;
mod store;
mod wording;

pub use chroot::{Chroot, Keep, KeepCommand};
pub use deferred::Deferred;
pub use files::{Cat, Copy, Export, Files};
pub use images::{History, Inspect, List, Load, Prune, Remove, Save, SaveFormat, Tag};
pub use layers::{Diff, Layers, Which};
pub use limits::RaisedLimits;
pub use mounts::{Fetching, Mount, Mounts, PullPolicy, Stats, Umount, Wanted};
pub use registry::{
    Connection, Login, Logout, Manifest, ManifestCommand, ManifestInspect, Platforms, Pull, Search,
};
pub use store::{Completion, DiskUsage, Info, Man, Verify};
pub use wording::plain;

use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::cli::terminal::ColorChoice;

/// Mount any container image as a directory. Nothing is unpacked, nothing runs in the background.
#[derive(Debug, Parser)]
#[command(
    name = "shale",
    version,
    disable_help_subcommand = true,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true,
    help_template = TOP_TEMPLATE,
)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Top,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// The store [default: $SHALE_ROOT, or ~/.local/share/shale, for root /var/lib/shale]
    #[arg(long, global = true, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// Let others read the store from now on: `group` (that of its directory) or all
    #[arg(
        long,
        global = true,
        value_name = "WHO",
        value_enum,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "all"
    )]
    pub shared: Option<Shared>,
    /// Print only IDs or names, no progress and no messages
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Say more: log what is done (twice: in detail), show more of what is listed
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Log messages of this level and above
    #[arg(long, global = true, value_name = "LEVEL", value_parser = ["off", "error", "warn", "info", "debug", "trace"])]
    pub log_level: Option<String>,
    /// Colors in messages and tables
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        value_enum,
        default_value_t,
        hide_default_value = true
    )]
    pub color: ColorChoice,
}

/// Who may read a store besides its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Shared {
    /// The group of its directory
    Group,
    /// Every user of the machine
    All,
    /// No one
    Nobody,
}

/// A command, plain or in Docker's group.
#[derive(Debug, Subcommand)]
pub enum Top {
    /// A command.
    #[command(flatten)]
    Plain(Command),
    /// The same commands under Docker's name: `shale image ls` is `shale ls`
    #[command(
        subcommand_required = true,
        arg_required_else_help = true,
        disable_help_subcommand = true
    )]
    Image {
        /// What to do.
        #[command(subcommand)]
        command: Command,
    },
}

/// Everything that can be done.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum Command {
    /// Fetch an image from a registry, a layout or an archive
    Pull(Deferred<Pull>),
    /// Mount an image on a directory, fetching it when it is missing
    Mount(Deferred<Mount>),
    /// Unmount
    #[command(alias = "unmount")]
    Umount(Deferred<Umount>),
    /// List mounts
    Mounts(Deferred<Mounts>),
    /// Show what mounts were asked and did
    Stats(Deferred<Stats>),
    /// Run a command, or a shell, in an image
    #[command(arg(chroot::verbose()))]
    Chroot(Deferred<Chroot>),
    /// Look after what `chroot --keep` kept
    Keep(Deferred<Keep>),
    /// List the files of an image
    Files(Deferred<Files>),
    /// Print files of an image
    Cat(Deferred<Cat>),
    /// Copy files out of an image
    Cp(Deferred<Copy>),
    /// Write all files of an image as one tar
    Export(Deferred<Export>),
    /// List images
    #[command(visible_alias = "images", alias = "list")]
    Ls(Deferred<List>),
    /// Show all that is known of images, as JSON
    Inspect(Deferred<Inspect>),
    /// Show how an image was made
    History(Deferred<History>),
    /// List the layers of an image: what each brings, changes and wastes
    Layers(Deferred<Layers>),
    /// Show which layers made, changed or removed a path
    Which(Deferred<Which>),
    /// Compare two images, or an image with its lower layers
    Diff(Deferred<Diff>),
    /// Remove images or names of images
    #[command(visible_alias = "rmi", alias = "remove")]
    Rm(Deferred<Remove>),
    /// Give an image another name
    Tag(Deferred<Tag>),
    /// Remove images without a tag, and what nothing needs any more
    Prune(Deferred<Prune>),
    /// Write images to an archive
    Save(Deferred<Save>),
    /// Read images from an archive
    Load(Deferred<Load>),
    /// Search Docker Hub, or the catalog of any registry
    Search(Deferred<Search>),
    /// Look at the manifest of an image in a registry
    Manifest(Deferred<Manifest>),
    /// List the platforms that an image is there for
    Platforms(Deferred<Platforms>),
    /// Keep a password for a registry
    Login(Deferred<Login>),
    /// Forget the password for a registry
    Logout(Deferred<Logout>),
    /// Show what the images take on the disk
    Df(Deferred<DiskUsage>),
    /// Look for damage in the store, and repair it
    Verify(Deferred<Verify>),
    /// Show the store and what this machine can do
    Info(Deferred<Info>),
    /// Print a completion script for a shell
    Completion(Deferred<Completion>),
    /// Print manual pages
    Man(Deferred<Man>),
}

/// The commands by what they are for, in the order of the help text.
pub const GROUPS: [(&str, &[&str]); 5] = [
    ("Mounts", &["mount", "umount", "mounts", "stats", "chroot", "keep"]),
    ("Files", &["files", "cat", "cp", "export"]),
    (
        "Images",
        &[
            "pull", "ls", "inspect", "history", "layers", "which", "diff", "tag", "rm", "prune",
            "save", "load", "image",
        ],
    ),
    ("Registries", &["search", "manifest", "platforms", "login", "logout"]),
    ("Store and shell", &["df", "verify", "info", "completion", "man"]),
];

/// Everything after the options is put in by [`command`].
const TOP_TEMPLATE: &str = "{about-with-newline}\nUsage: shale [OPTIONS] COMMAND{after-help}\n\
    \nGlobal options:\n{options}\n\n`shale COMMAND --help` explains a command.";

const EXAMPLES: &str = "\
Examples:
  shale mount debian:12 ./d       Fetch debian:12 and show it in ./d
  grep -r root ./d/etc/passwd     Read whatever you like
  shale umount ./d
  shale ls                        The images that are here";

/// The whole definition, with the grouped list of commands in its help.
pub fn command() -> clap::Command {
    let command = Cli::command();
    let mut help = EXAMPLES.to_owned();
    for (title, names) in GROUPS {
        help.push_str(&format!("\n\n{title}:"));
        for name in names {
            let Some(found) = command.find_subcommand(name) else { continue };
            let about = found.get_about().map(ToString::to_string).unwrap_or_default();
            let aliases: Vec<&str> = found.get_visible_aliases().collect();
            let alias = aliases.first().map(|name| format!(" (or {name})")).unwrap_or_default();
            help.push_str(&format!("\n  {name:<12}{about}{alias}"));
        }
    }
    command.after_help(help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn every_command_is_in_one_group() {
        let command = command();
        let mut listed: Vec<&str> =
            GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        let mut there: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
        listed.sort_unstable();
        there.sort_unstable();
        assert_eq!(listed, there);
    }

    #[test]
    fn image_is_a_group_of_the_same_commands() {
        for line in ["shale ls -q --digests x", "shale image images -q --digests x"] {
            let cli = Cli::try_parse_from(line.split(' ')).expect(line);
            let (Top::Plain(command) | Top::Image { command }) = cli.command;
            assert!(cli.global.quiet && matches!(command, Command::Ls(list) if list.digests));
        }
    }
}
