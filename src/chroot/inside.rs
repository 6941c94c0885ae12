//! Process 1 of the command's PID namespace, from the fork to the command's start.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::process::Pid;
use rustix::thread::UnshareFlags;

use super::identity::Identities;
use super::terminal::{Events, Terminal};
use super::{Request, command, execute, init, pid, root, user};
use crate::store::StoredImage;
use crate::sys::namespace;
use crate::sys::process::{Guardian, fork_child};
use crate::sys::signal::Blocked;

/// The exit code of a run that failed before the command.
const FAILED: u8 = 125;

/// How much of the image's /etc/passwd and /etc/group is read. Real ones have a few KiB.
const ACCOUNTS_LIMIT: u64 = 4 << 20;

/// What process 1 needs to know.
pub(super) struct Inside<'a> {
    pub(super) image: &'a StoredImage,
    pub(super) request: &'a Request,
    pub(super) scratch: &'a Path,
    pub(super) keep: Option<&'a Path>,
    pub(super) signals: &'a Blocked,
    pub(super) terminal: &'a Terminal,
    pub(super) guardian: &'a Guardian,
    pub(super) unprivileged: bool,
    pub(super) identities: &'a Identities,
}

impl Inside<'_> {
    /// Process 1: builds the root, starts the command, waits. What fails before the command runs
    /// goes to `reporter`, which `exec` closes; what happens to the command then goes to `events`.
    pub(super) fn init(&self, reporter: &mut io::PipeWriter, events: &Events) -> u8 {
        match self.start(reporter) {
            Ok(command) => {
                let has_group = self.terminal.lends();
                let init = init::Init { command, signals: self.signals, events, has_group };
                init.run().unwrap_or(FAILED)
            }
            Err(message) => {
                // If nobody listens any more, the exit code alone has to do.
                let _ = reporter.write_all(message.as_bytes());
                FAILED
            }
        }
    }

    fn start(&self, reporter: &mut io::PipeWriter) -> Result<Pid, String> {
        let text = |error: &dyn std::error::Error| error.to_string();
        self.guardian.bind().map_err(|error| text(&error))?;
        self.terminal.enter().map_err(|error| text(&error))?;
        // pivot_root moves every process of a mount namespace: the server's must not be ours.
        namespace::leave(UnshareFlags::NEWNS).map_err(|error| text(&error))?;
        let wishes = &self.request.wishes;
        let hostname = wishes.hostname.clone().unwrap_or_else(|| self.image.short_id());
        root::enter(&root::Plan {
            scratch: self.scratch,
            keep: self.keep,
            volumes: &self.request.volumes,
            tmpfs: &self.request.tmpfs,
            read_only: self.request.read_only,
            unprivileged: self.unprivileged,
            hostname: &hostname,
        })
        .map_err(|error| text(&error))?;
        let (user, command) = self.resolve(&hostname)?;
        let child = fork_child(|| {
            if self.signals.release().is_err() {
                return FAILED;
            }
            let architecture = &self.image.config.architecture;
            let (code, message) = execute::execute(&command, &user, self.identities, architecture);
            let _ = reporter.write_all(message.as_bytes());
            code
        });
        let child = child.map_err(|error| text(&error))?;
        pid(child).map_err(|error| text(&error))
    }

    fn resolve(&self, hostname: &str) -> Result<(user::User, command::Command), String> {
        let config = &self.image.config.config;
        let defaults = command::Defaults {
            env: config.env.clone(),
            entrypoint: config.entrypoint.clone(),
            cmd: config.cmd.clone(),
            working_dir: config.working_dir.clone(),
            user: config.user.clone(),
        };
        let wishes = &self.request.wishes;
        let wanted = wishes.user.as_deref().unwrap_or(&defaults.user);
        let group = accounts("/etc/group");
        let text = |error: user::UserError| error.to_string();
        let mut user = user::resolve(wanted, &accounts("/etc/passwd"), &group).map_err(text)?;
        user::add_groups(&mut user, &wishes.groups, &group).map_err(text)?;
        self.identities.check(wanted, &user, !wishes.groups.is_empty())?;
        let command =
            command::compose(&defaults, wishes, &user, hostname, |name| std::env::var(name).ok());
        Ok((user, command))
    }
}

/// A file of the image, which may be anything: a pipe that never ends, or gigabytes.
fn accounts(path: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let open = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    if let Ok(file) = open
        && file.metadata().is_ok_and(|status| status.is_file())
    {
        // As much as can be read: who is not in it is not known.
        let _ = file.take(ACCOUNTS_LIMIT).read_to_end(&mut bytes);
    }
    bytes
}
