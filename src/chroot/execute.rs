//! The last steps of the command's own process: user, directory, program.
//!
//! Programs are searched as a shell does, in the PATH that the command will have. What cannot be
//! executed is explained, because `execve(2)` says ENOENT also of a program whose interpreter is
//! missing, and ENOEXEC of one for another processor.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rustix::process::{Gid, Uid};
use rustix::thread::UnshareFlags;

use super::command::Command;
use super::identity::Identities;
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
    architecture: &str,
) -> Failure {
    let directory = &command.working_dir;
    // Docker makes a missing working directory, as root; what fails here fails again below.
    let _ = fs::create_dir_all(directory);
    stdio::hand_over(user.uid);
    if let Err(why) = become_user(user, identities) {
        return (NOT_EXECUTABLE, why);
    }
    if let Err(error) = rustix::process::chdir(&**directory) {
        let error = io::Error::from(error);
        return (NOT_EXECUTABLE, format!("working directory {directory}: {error}"));
    }
    let Some(program) = command.argv.first() else {
        return (NOT_FOUND, "the command is empty".to_owned());
    };
    let mut denied = None;
    for path in candidates(program, command.variable("PATH")) {
        let error = exec(&path, &command.argv, &command.env);
        match error.raw_os_error() {
            Some(libc::ENOENT | libc::ENOTDIR) if !path.exists() => {}
            Some(libc::EACCES) => denied = denied.or(Some((path, error))),
            _ => return (NOT_EXECUTABLE, explain(&path, &error, architecture)),
        }
    }
    match denied {
        Some((path, error)) => (NOT_EXECUTABLE, explain(&path, &error, architecture)),
        None => (NOT_FOUND, missing(program, command.variable("PATH"))),
    }
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

fn become_user(user: &User, identities: &Identities) -> Result<(), String> {
    if identities.is_single() {
        return become_only_user(user).map_err(|error| format!("user {}: {error}", user.uid));
    }
    become_one_of_many(user, identities.setgroups)
        .map_err(|error| format!("user {}: {error}", user.uid))
}

/// Without leave to change the supplementary groups, the caller's stay.
fn become_one_of_many(user: &User, setgroups: bool) -> io::Result<()> {
    if setgroups {
        let groups: Vec<Gid> = user.groups.iter().map(|&gid| Gid::from_raw(gid)).collect();
        rustix::thread::set_thread_groups(&groups)?;
    }
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)?;
    Ok(())
}

/// The one user that there is takes the wanted number, in a namespace inside the namespace. All
/// files are that user's.
fn become_only_user(user: &User) -> io::Result<()> {
    if (user.uid, user.gid) == (0, 0) {
        return Ok(());
    }
    namespace::leave(UnshareFlags::NEWUSER)?;
    fs::write("/proc/self/uid_map", format!("{} 0 1", user.uid))?;
    fs::write("/proc/self/gid_map", format!("{} 0 1", user.gid))
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
