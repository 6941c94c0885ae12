//! Stepping into an image.

use std::path::{Component, Path, PathBuf};

use clap::{Arg, Args, Subcommand};

use super::Wanted;
use crate::chroot::{Capabilities, Tmpfs, Volume};

/// `shale chroot`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  shale chroot debian:12                         A shell
  shale chroot python:3 -- python3 -c 'print(1)'
  shale chroot -v ./src:/src:ro -w /src gcc:13 make
  shale chroot --keep ./changes debian:12 apt-get install -y hello

On a terminal the command is a job of the caller's shell; -i, -t and --rm are taken and change nothing. While
it runs, its user owns the pipe, terminal or file behind standard output and error, so that it can open
/dev/stdout.

A COMMAND takes the place of the image's Entrypoint and Cmd. Changes are forgotten, unless --keep says
where to keep them. The exit status is the command's; 125, 126 and 127 are as Docker's.

A normal user becomes root inside a user namespace; the users of the image exist there when
/etc/subuid has a range and newuidmap is installed, else only the one that runs the command.

As root, the command is bound to docker's default capabilities; set-user-ID bits and device nodes, the
image's and those of volumes, have no effect (a node that is itself a volume has), and what root could
change of the machine in /proc and /sys is read only or hidden. --suid, --dev, --cap-add and
--privileged undo that. It is still no isolation against a hostile image: the command is the machine's
user 0, with the host's network, without a filter of system calls, without limits of memory or processes.
Run what you do not trust as a normal user.

Other users must not be able to enter the directory of --keep, which is made with mode 0700: its
programs would run there with the rights that they have in the image. `shale keep rm DIR` removes one.")]
pub struct Chroot {
    /// Of which image.
    #[command(flatten)]
    pub wanted: Wanted,
    /// Command and arguments [default: the image's Entrypoint and Cmd, or /bin/sh]
    #[arg(value_name = "COMMAND", trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<String>,
    /// Run this instead of the image's Entrypoint and Cmd, COMMAND being its arguments
    #[arg(long, value_name = "PROGRAM")]
    pub entrypoint: Option<String>,
    /// Set a variable, or pass the caller's on
    #[arg(short, long, value_name = "NAME[=VALUE]", value_parser = variable)]
    pub env: Vec<String>,
    /// Set the variables of a file, one a line; --env comes after
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub env_file: Vec<PathBuf>,
    /// The directory to run in, made when missing [default: the image's WorkingDir]
    #[arg(short, long, value_name = "DIR", value_parser = absolute)]
    pub workdir: Option<String>,
    /// The user to run as, and the group [default: the image's User]
    #[arg(short, long, value_name = "USER[:GROUP]")]
    pub user: Option<String>,
    /// A further group of the user
    #[arg(long, value_name = "GROUP")]
    pub group_add: Vec<String>,
    /// The name that the machine has inside [default: the image's short ID]
    #[arg(long, value_name = "NAME", value_parser = hostname)]
    pub hostname: Option<String>,
    /// Show a directory or file of this machine inside
    #[arg(short = 'v', long, value_name = "HOST:DIR[:ro]", value_parser = volume)]
    pub volume: Vec<Volume>,
    /// An empty directory in memory; OPTIONS are tmpfs's: size=64m,mode=755,exec
    #[arg(long, value_name = "DIR[:OPTIONS]", value_parser = tmpfs)]
    pub tmpfs: Vec<Tmpfs>,
    /// Refuse writes
    #[arg(long, conflicts_with = "keep")]
    pub read_only: bool,
    /// Keep changes in this directory, and go on with those that are there
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub keep: Option<PathBuf>,
    /// Keep them in a directory that other users can enter, or own
    #[arg(long, requires = "keep")]
    pub keep_shared: bool,
    /// Let set-user-ID bits and file capabilities have an effect, for root
    #[arg(long)]
    pub suid: bool,
    /// Let device nodes have an effect
    #[arg(long)]
    pub dev: bool,
    /// A capability to add to docker's default ones, or ALL
    #[arg(long, value_name = "CAP", value_delimiter = ',')]
    pub cap_add: Vec<Capabilities>,
    /// A capability to take away, or ALL
    #[arg(long, value_name = "CAP", value_delimiter = ',')]
    pub cap_drop: Vec<Capabilities>,
    /// All capabilities, --suid, --dev, and /proc and /sys as the kernel has them
    #[arg(long)]
    pub privileged: bool,
    /// `host` or `none`
    #[arg(long, value_name = "NETWORK", default_value = "host", value_parser = ["host", "none"])]
    pub net: String,
    /// What changes nothing.
    #[command(flatten)]
    pub habits: Habits,
}

/// Options that people's fingers give, and that change nothing.
#[derive(Debug, Args)]
pub struct Habits {
    /// Taken as docker's: standard input is always the caller's
    #[arg(short, long)]
    pub interactive: bool,
    /// Taken as docker's: the caller's terminal is always the command's
    #[arg(short, long)]
    pub tty: bool,
    /// Taken as docker's: nothing is left in any case
    #[arg(long)]
    pub rm: bool,
}

/// `shale keep`
#[derive(Debug, Args)]
#[command(
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
pub struct Keep {
    /// What to do
    #[command(subcommand)]
    pub command: KeepCommand,
}

/// What is done with directories of changes.
#[derive(Debug, Subcommand)]
pub enum KeepCommand {
    /// Remove a directory of `chroot --keep`, also what belongs to users of the image
    Rm {
        /// As it was given to --keep
        #[arg(value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
        directory: PathBuf,
    },
}

/// `--verbose` in the place of the global option, whose `-v` is Docker's volume here; clap hands its
/// value to that one.
pub(super) fn verbose() -> Arg {
    // Behind the others.
    let arg = Arg::new("verbose").long("verbose").action(clap::ArgAction::Count).display_order(99);
    arg.help_heading("Global options").help("Say more: log what is done (twice: in detail)")
}

/// What sethostname(2) takes and every program can print.
fn hostname(text: &str) -> Result<String, String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    match (1..=64).contains(&text.len()) && text.bytes().all(is_plain) {
        true => Ok(text.to_owned()),
        false => Err("1 to 64 letters, digits, dots, dashes and underscores".to_owned()),
    }
}

/// `NAME` or `NAME=VALUE`.
fn variable(text: &str) -> Result<String, String> {
    match text.split('=').next() {
        None | Some("") => Err("a variable must have a name".to_owned()),
        Some(_) => Ok(text.to_owned()),
    }
}

fn absolute(text: &str) -> Result<String, String> {
    match text.starts_with('/') {
        true => Ok(text.to_owned()),
        false => Err("it must be an absolute path in the image".to_owned()),
    }
}

fn tmpfs(text: &str) -> Result<Tmpfs, String> {
    let (inside, options) = text.split_once(':').unwrap_or((text, ""));
    if !Path::new(inside).is_absolute() {
        return Err(format!("{inside}: not an absolute directory"));
    }
    below_root(inside)?;
    Tmpfs::new(inside.into(), options)
}

fn below_root(inside: &str) -> Result<(), String> {
    match Path::new(inside).components().all(|part| part == Component::RootDir) {
        true => Err("/ is the image itself; choose a directory below it".to_owned()),
        false => Ok(()),
    }
}

fn volume(text: &str) -> Result<Volume, String> {
    let (rest, read_only) = match text.strip_suffix(":ro") {
        Some(rest) => (rest, true),
        None => (text.strip_suffix(":rw").unwrap_or(text), false),
    };
    let (host, inside) = rest.rsplit_once(':').ok_or("it must be HOST:DIR or HOST:DIR:ro")?;
    if host.is_empty() {
        return Err("HOST is empty".to_owned());
    }
    if !Path::new(inside).is_absolute() {
        return Err(format!("{inside}: neither an absolute DIR nor `ro` or `rw`"));
    }
    below_root(inside)?;
    Ok(Volume { host: host.into(), inside: inside.into(), read_only })
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches;

    use super::super::{Cli, Command, Top, command};
    use super::*;

    #[test]
    fn v_is_a_volume_here_and_verbose_stays_global() {
        let words = "shale chroot --verbose -v /a:/b -v /c:/d:ro --verbose x ls -v";
        let matches = command().try_get_matches_from(words.split(' ')).expect(words);
        let cli = Cli::from_arg_matches(&matches).expect(words);
        assert_eq!(cli.global.verbose, 2);
        let Top::Plain(Command::Chroot(chroot)) = cli.command else { panic!("{words}") };
        assert_eq!(chroot.volume.len(), 2);
        assert_eq!(chroot.command, ["ls", "-v"]);
        let words = "shale -v chroot x";
        let matches = command().try_get_matches_from(words.split(' ')).expect(words);
        assert_eq!(Cli::from_arg_matches(&matches).expect(words).global.verbose, 1);
    }

    #[test]
    fn volumes() {
        let parsed = volume("/a:b:/c:ro").expect("valid");
        assert_eq!((parsed.host, parsed.inside), ("/a:b".into(), "/c".into()));
        assert!(parsed.read_only);
        assert!(!volume("./x:/c").expect("valid").read_only);
        assert!(!volume("./x:/c:rw").expect("valid").read_only);
        for text in ["", "/a", "/a:b", ":/b", "/a:b:ro", "/a:/", "/a://:ro", "/a:/b:zz"] {
            assert!(volume(text).is_err(), "{text:?}");
        }
    }
}
