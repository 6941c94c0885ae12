//! The last steps of the command's own process: user, directory, program.
//!
//! Programs are searched as a shell does, in the PATH that the command will have. What cannot be
//! executed is explained, because `execve(2)` says ENOENT also of a program whose interpreter is
//! missing, and ENOEXEC of one for another processor.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::process::{DumpableBehavior, Gid, Uid};
use rustix::thread::UnshareFlags;

use super::command::Command;
use super::identity::Identities;
use super::place::{Kind, PlaceError, Root};
use super::rights::Rights;
use super::stdio;
use super::user::User;
use crate::sys::exec::exec;
use crate::sys::namespace;

/// Docker's exit codes for a command that cannot be started.
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

/// Why there is no command: the exit code, and what to say.
pub(super) type Failure = (u8, String);

/// Becomes `user`, one of `identities`, and then the command. Returns only when that fails.
/// `architecture` is the image's, for the explanation.
pub(super) fn execute(
    command: &Command,
    user: &User,
    identities: &Identities,
    rights: &Rights,
    architecture: &str,
) -> Failure {
    let directory = &command.working_dir;
    // Docker makes a missing working directory, as root.
    let made = make_directory(Path::new(directory));
    stdio::hand_over(user.uid);
    if let Err(error) = become_user(user, identities, rights) {
        return (NOT_EXECUTABLE, format!("user {}: {error}", user.uid));
    }
    let here = match made.and_then(|()| enter_directory(Path::new(directory))) {
        Ok(here) => here,
        Err(error) => return (NOT_EXECUTABLE, format!("working directory {directory}: {error}")),
    };
    let Some(program) = command.argv.first() else {
        return (NOT_FOUND, "the command is empty".to_owned());
    };
    let mut denied = None;
    for path in candidates(program, command.variable("PATH")) {
        if leads_out(&here.join(&path)) {
            let shown = path.display();
            return (NOT_EXECUTABLE, format!("{shown}: {}", PlaceError::Loop));
        }
        let error = exec(&path, &command.argv, &command.env);
        match error.raw_os_error() {
            Some(libc::ENOENT | libc::ENOTDIR | libc::ENAMETOOLONG) if !path.exists() => {}
            Some(libc::EACCES) => denied = denied.or(Some((path, error))),
            _ => return (NOT_EXECUTABLE, explain(&path, &error, architecture)),
        }
    }
    match denied {
        Some((path, error)) => (NOT_EXECUTABLE, explain(&path, &error, architecture)),
        None => (NOT_FOUND, missing(program, command.variable("PATH"))),
    }
}

/// A missing directory is made; in a root that refuses writes it stays missing.
fn make_directory(path: &Path) -> io::Result<()> {
    match Root::this()?.make(path, Kind::Directory) {
        Err(error @ (PlaceError::Loop | PlaceError::NotDirectory(_))) => Err(error.into()),
        // What the system says of entering it is more to the point.
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Enters a directory with the rights of the user, and says where that is.
fn enter_directory(path: &Path) -> io::Result<PathBuf> {
    let opened = Root::this()?.open(path, OFlags::PATH | OFlags::DIRECTORY);
    let directory = opened.map_err(PlaceError::from)?;
    rustix::process::fchdir(directory)?;
    let here = std::env::current_dir()?;
    // The kernel's words for a directory that the root does not lead to.
    if here.starts_with("/") {
        Ok(here)
    } else {
        Err(io::Error::other("it is outside of the root"))
    }
}

/// Whether a program's path leads through /proc to something that a process has open, such as this
/// program.
fn leads_out(path: &Path) -> bool {
    let opened = Root::this().and_then(|root| root.open(path, OFlags::PATH));
    matches!(opened, Err(rustix::io::Errno::LOOP | rustix::io::Errno::XDEV))
}

/// Where a program may be.
fn candidates(program: &str, path: &str) -> Vec<PathBuf> {
    if program.contains('/') {
        return vec![program.into()];
    }
    let below = |directory: &str| {
        Path::new(if directory.is_empty() { "." } else { directory }).join(program)
    };
    path.split(':').filter(|_| !program.is_empty()).map(below).collect()
}

fn missing(program: &str, path: &str) -> String {
    match program {
        "/bin/sh" | "sh" | "bash" => format!(
            "{program}: not found in the image; it may have no shell, only the programs it is for"
        ),
        _ if program.contains('/') => format!("{program}: not found in the image"),
        _ => format!("{program}: not found in the image's PATH ({path})"),
    }
}

fn explain(path: &Path, error: &io::Error, architecture: &str) -> String {
    let shown = path.display();
    let is_elf = || {
        let mut magic = [0; 4];
        let read = File::open(path).and_then(|mut file| file.read_exact(&mut magic));
        read.is_ok() && magic == *b"\x7fELF"
    };
    match error.raw_os_error() {
        Some(libc::ENOEXEC) if is_elf() => format!(
            "{shown}: this machine cannot execute it (the image is for {architecture}); \
             other architectures need binfmt_misc, e.g. the package qemu-user-static"
        ),
        Some(libc::ENOEXEC) => {
            format!("{shown}: not a program (a script must begin with #! and its interpreter)")
        }
        Some(libc::ENOENT) => {
            format!("{shown}: the interpreter or loader that it needs is not in the image")
        }
        Some(libc::EACCES) => format!("{shown}: not executable: permission denied"),
        _ => format!("{shown}: {error}"),
    }
}

fn become_user(user: &User, identities: &Identities, rights: &Rights) -> io::Result<()> {
    match identities.is_single() {
        true => become_only_user(user, rights),
        false => become_one_of_many(user, identities.setgroups, rights),
    }
}

/// Without leave to change the supplementary groups, the caller's stay.
fn become_one_of_many(user: &User, setgroups: bool, rights: &Rights) -> io::Result<()> {
    rights.bind()?;
    if setgroups {
        let groups: Vec<Gid> = user.groups.iter().map(|&gid| Gid::from_raw(gid)).collect();
        rustix::thread::set_thread_groups(&groups)?;
    }
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)?;
    rights.give_up()
}

/// The one user that there is takes the wanted number, in a namespace inside the namespace. All
/// files are that user's.
fn become_only_user(user: &User, rights: &Rights) -> io::Result<()> {
    if (user.uid, user.gid) != (0, 0) {
        namespace::leave(UnshareFlags::NEWUSER)?;
        // Else the files belong to nobody of this namespace. Its environment is gone already.
        rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable)?;
        fs::write("/proc/self/uid_map", format!("{} 0 1", user.uid))?;
        fs::write("/proc/self/gid_map", format!("{} 0 1", user.gid))?;
    }
    // A new user namespace begins with all capabilities: what binds comes after it.
    rights.bind()?;
    rights.give_up()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_searched_like_a_shell_does() {
        let paths = |program, path| -> Vec<String> {
            candidates(program, path).iter().map(|p| p.display().to_string()).collect()
        };
        assert_eq!(paths("ls", "/bin::/usr/bin"), ["/bin/ls", "./ls", "/usr/bin/ls"]);
        assert_eq!(paths("./ls", "/bin"), ["./ls"]);
        assert!(paths("", "/bin").is_empty());
    }

    #[test]
    fn what_cannot_run_is_explained() {
        let text =
            |number| explain(Path::new("/no/such"), &io::Error::from_raw_os_error(number), "arm64");
        assert!(text(libc::ENOENT).contains("interpreter or loader"));
        assert!(text(libc::ENOEXEC).contains("#!"));
        assert!(text(libc::EACCES).contains("permission denied"));
        let own = std::env::current_exe().expect("this test");
        let error = io::Error::from_raw_os_error(libc::ENOEXEC);
        assert!(explain(&own, &error, "arm64").contains("the image is for arm64"));
        assert!(missing("sh", "/bin").contains("no shell"));
        assert!(missing("ls", "/bin").contains("PATH (/bin)"));
    }
}
