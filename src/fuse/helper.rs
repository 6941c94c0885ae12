//! fusermount3, the set-user-id program through which a normal user mounts and unmounts.
//!
//! It mounts and hands the connection over a socket, whose number it finds in `_FUSE_COMMFD`
//! (fusermount3(1)).

use std::ffi::OsStr;
use std::io::ErrorKind::{NotFound, PermissionDenied};
use std::io::{self, IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketFlags, SocketType,
    recvmsg, socketpair,
};
use rustix::thread::no_new_privs;

use super::MountError;
use crate::sys::process;

/// Where it may be: first as the user finds it, then where a short PATH may not look.
const PROGRAMS: [&str; 3] = ["fusermount3", "/usr/bin/fusermount3", "/bin/fusermount3"];

/// What it says are at most this many bytes of interest.
const MESSAGE_LIMIT: u64 = 4096;

pub(super) fn mount(mountpoint: &Path, options: &str) -> Result<OwnedFd, MountError> {
    let failed = |error: io::Error| MountError::io(mountpoint)(error);
    let (ours, theirs) =
        socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
            .map_err(|error| failed(error.into()))?;
    let number = process::inherit(&theirs).map_err(failed)?;
    let mut child = start(mountpoint, |command| {
        command.args(["-o", options]).env("_FUSE_COMMFD", number.to_string())
    })?;
    // Without our copy of its end the wait below ends when the program does.
    drop(theirs);
    let received = receive(&ours);
    let message = finish(&mut child).map_err(failed)?;
    match (received.map_err(failed)?, message) {
        (Some(connection), None) => Ok(connection),
        (_, message) => Err(refusal(mountpoint, message.unwrap_or_default())),
    }
}

/// Unmounts `name` in `directory`, which was found at `mountpoint`. The program is started in that
/// directory: it finds out where it is and refuses a place that has moved since.
pub(super) fn unmount(
    directory: &Path,
    name: &OsStr,
    mountpoint: &Path,
    lazy: bool,
) -> Result<(), MountError> {
    let flag = if lazy { "-uz" } else { "-u" };
    let mut child = start(Path::new(name), |command| command.arg(flag).current_dir(directory))?;
    match finish(&mut child).map_err(MountError::io(mountpoint))? {
        None => Ok(()),
        Some(message) => Err(refusal(mountpoint, message)),
    }
}

fn start(
    mountpoint: &Path,
    arguments: impl Fn(&mut Command) -> &mut Command,
) -> Result<Child, MountError> {
    for program in PROGRAMS {
        let mut command = Command::new(program);
        arguments(&mut command).arg("--").arg(mountpoint);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        match command.env("LC_ALL", "C").spawn() {
            // A directory of PATH that may not be searched counts as one without it.
            Err(error) if matches!(error.kind(), NotFound | PermissionDenied) => {}
            other => return other.map_err(MountError::io(program)),
        }
    }
    Err(MountError::NoHelper)
}

/// Waits for the program; what it complained about when it failed.
fn finish(child: &mut Child) -> io::Result<Option<String>> {
    let mut message = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        stderr.take(MESSAGE_LIMIT).read_to_end(&mut message)?;
    }
    let succeeded = child.wait()?.success();
    Ok((!succeeded).then(|| String::from_utf8_lossy(&message).trim().to_owned()))
}

/// The descriptor that comes over `socket`; `None` when it is closed without one.
fn receive(socket: &OwnedFd) -> io::Result<Option<OwnedFd>> {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    rustix::io::retry_on_intr(|| {
        recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC)
    })?;
    Ok(control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    }))
}

fn refusal(mountpoint: &Path, message: String) -> MountError {
    let path = mountpoint.to_owned();
    if message.contains("user_allow_other") {
        MountError::AllowOtherDenied
    } else if message.contains("could not determine username") {
        MountError::UnknownUser { uid: rustix::process::geteuid().as_raw() }
    } else if message.contains("not permitted") && no_new_privs().unwrap_or(false) {
        MountError::NoNewPrivileges
    } else if message.contains("busy") {
        MountError::Busy { path }
    } else if message.contains("not found in") {
        MountError::NotMounted { path }
    } else {
        // One line: the program may say several things, the first is the cause.
        let first = message.lines().next().unwrap_or_default();
        let message = first.strip_prefix("fusermount3: ").unwrap_or(first).to_owned();
        MountError::HelperRefused { path, message }
    }
}
