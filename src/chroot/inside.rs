//! Process 1 of the command's PID namespace, from the fork to the end.
//!
//! The first thing it does is to close whatever is open above standard error: from then on paths of
//! the image are walked here, and its programs run below. What went wrong is told through shared
//! memory, which is no descriptor.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{FileType, OFlags};
use rustix::process::Pid;
use rustix::thread::UnshareFlags;

use super::identity::Identities;
use super::place::{self, Root};
use super::terminal::{Events, Terminal};
use super::{Request, command, execute, init, pid, root, user};
use crate::store::StoredImage;
use crate::sys::message::Message;
use crate::sys::process::{Guardian, close_all_but_stdio, end_all_others, fork_child};
use crate::sys::signal::Blocked;
use crate::sys::{namespace, secret};

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
    /// Process 1: builds the root, starts the command, waits, tidies up. What fails before the command
    /// runs is left in `report`; what happens to the command then is told through `events`.
    pub(super) fn init(&self, report: &Message, events: &Events) -> u8 {
        match self.start(report) {
            Ok((command, root)) => {
                let has_group = self.terminal.lends();
                let init = init::Init { command, signals: self.signals, events, has_group };
                let code = init.run().unwrap_or(FAILED);
                if self.keep.is_some() && end_all_others().is_ok() {
                    // What is left is empty, and not open to others.
                    let _ = root.clear();
                }
                code
            }
            Err(message) => {
                report.put(&message);
                FAILED
            }
        }
    }

    fn start(&self, report: &Message) -> Result<(Pid, root::Assembled), String> {
        let text = |error: &dyn std::error::Error| error.to_string();
        self.guardian.bind().map_err(|error| text(&error))?;
        self.terminal.enter().map_err(|error| text(&error))?;
        close_all_but_stdio().map_err(|error| text(&error))?;
        secret::leave_keyring();
        // pivot_root moves every process of a mount namespace: the server's must not be ours.
        namespace::leave(UnshareFlags::NEWNS).map_err(|error| text(&error))?;
        let wishes = &self.request.wishes;
        let hostname = wishes.hostname.clone().unwrap_or_else(|| self.image.short_id());
        let root = root::enter(&root::Plan {
            scratch: self.scratch,
            keep: self.keep,
            volumes: &self.request.volumes,
            tmpfs: &self.request.tmpfs,
            read_only: self.request.read_only,
            unprivileged: self.unprivileged,
            hostname: &hostname,
            rights: &self.request.rights,
        })
        .map_err(|error| text(&error))?;
        let (user, command) = self.resolve(&hostname, &root)?;
        // After the last look at a variable, and before anybody else is in the namespace.
        secret::forget_environment().map_err(|error| text(&error))?;
        let child = fork_child(|| {
            if self.signals.release().is_err() {
                return FAILED;
            }
            let architecture = &self.image.config.architecture;
            let rights = &self.request.rights;
            let (code, message) =
                execute::execute(&command, &user, self.identities, rights, architecture);
            report.put(&message);
            code
        });
        let child = child.map_err(|error| text(&error))?;
        Ok((pid(child).map_err(|error| text(&error))?, root))
    }

    fn resolve(
        &self,
        hostname: &str,
        root: &root::Assembled,
    ) -> Result<(user::User, command::Command), String> {
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
        let text = |error: user::UserError| error.to_string();
        let passwd = accounts(root, Path::new("/etc/passwd"));
        let group = accounts(root, Path::new("/etc/group"));
        let mut user = user::resolve(wanted, &passwd, &group).map_err(text)?;
        user::add_groups(&mut user, &wishes.groups, &group).map_err(text)?;
        self.identities.check(wanted, &user, !wishes.groups.is_empty())?;
        let command =
            command::compose(&defaults, wishes, &user, hostname, |name| std::env::var(name).ok());
        Ok((user, command))
    }
}

/// A file of the image, or of a volume, as much of it as can be read: who is not in it is not known.
/// What the path leads to may be anything: a pipe that never ends, gigabytes, or a file of /proc that
/// only root reads and that is not the image's to name.
fn accounts(assembled: &root::Assembled, path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    let is_ours = |file: &OwnedFd| {
        place::kind_of(file) == Ok(FileType::RegularFile)
            && place::mount_of(file).is_some_and(|mount| assembled.mounts.contains(&mount))
    };
    // By its name first: to open some things is to do something.
    let opened = Root::this().and_then(|root| {
        let named = root.open(path, OFlags::PATH)?;
        if !is_ours(&named) {
            return Err(rustix::io::Errno::ACCESS);
        }
        root.open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)
    });
    if let Ok(file) = opened
        && is_ours(&file)
    {
        let _ = File::from(file).take(ACCOUNTS_LIMIT).read_to_end(&mut bytes);
    }
    bytes
}
