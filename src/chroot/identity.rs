//! Who is who in a user namespace: how a normal user becomes root of an image, and of nothing else.
//!
//! With `newuidmap` and a range in /etc/subuid, as podman and docker's rootless mode use them, all
//! users of the image exist inside. Without, one does: the caller appears as root and every file
//! belongs to it.

use std::fs;
use std::io::{self, Write};
use std::process::{Child, Command, Stdio};

use rustix::process::{getgid, getuid};
use rustix::thread::UnshareFlags;

use crate::sys::namespace;

/// How many users the namespace has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identities {
    /// A whole range: numbers inside are the image's own.
    Range,
    /// Only root, who is the caller.
    Single,
}

/// Moves this process, which must have one thread, into a new user namespace together with
/// `others`, where it is root.
///
/// # Errors
/// User namespaces are switched off, or the maps were refused.
pub(super) fn become_root(others: UnshareFlags) -> io::Result<Identities> {
    let (uid, gid) = (getuid().as_raw(), getgid().as_raw());
    let ranges = range_of("/etc/subuid", uid).zip(range_of("/etc/subgid", uid));
    // The mapping programs must run outside the namespace, hence before it exists; they wait for
    // a line on their standard input.
    let helpers = ranges.and_then(|(users, groups)| {
        Some((waiting_helper("newuidmap", uid, users)?, waiting_helper("newgidmap", gid, groups)?))
    });
    // Unsharing the user namespace together with others makes
    // the others belong to it.
    namespace::leave(UnshareFlags::NEWUSER | others)?;
    if let Some((users, groups)) = helpers
        && let (true, true) = (release(users), release(groups))
    {
        return Ok(Identities::Range);
    }
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("0 {uid} 1"))?;
    fs::write("/proc/self/gid_map", format!("0 {gid} 1"))?;
    Ok(Identities::Single)
}

/// The first range that `file` (subuid(5)) gives the user, by name or number.
fn range_of(file: &str, uid: u32) -> Option<(u32, u32)> {
    let name = fs::read_to_string("/etc/passwd").ok().and_then(|passwd| {
        let line = passwd.lines().find(|line| line.split(':').nth(2) == Some(&uid.to_string()))?;
        Some(line.split(':').next()?.to_owned())
    });
    parse_range(&fs::read_to_string(file).ok()?, name.as_deref(), uid)
}

fn parse_range(text: &str, name: Option<&str>, uid: u32) -> Option<(u32, u32)> {
    text.lines().find_map(|line| {
        let [owner, start, count] = line.split(':').collect::<Vec<_>>().try_into().ok()?;
        let mine = Some(owner) == name || owner == uid.to_string();
        let range = (start.trim().parse().ok()?, count.trim().parse().ok()?);
        mine.then_some(range)
    })
}

/// `newuidmap` or `newgidmap` for this process, waiting to be released.
fn waiting_helper(program: &str, own: u32, (start, count): (u32, u32)) -> Option<Child> {
    Command::new("/bin/sh")
        .args(["-c", "read -r go && exec \"$@\"", "sh", program])
        .args([std::process::id(), 0, own, 1, 1, start, count].map(|number| number.to_string()))
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()
}

/// Lets a helper go, and says whether it mapped.
fn release(mut helper: Child) -> bool {
    let told = helper.stdin.take().is_some_and(|mut input| input.write_all(b"go\n").is_ok());
    let status = helper.wait();
    told && status.is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_by_name_and_by_number() {
        let text = "other:1:2\nbroken\nme:100000:65536\n1000:5:6\n";
        assert_eq!(parse_range(text, Some("me"), 7), Some((100_000, 65_536)));
        assert_eq!(parse_range(text, None, 1000), Some((5, 6)));
        assert_eq!(parse_range(text, Some("nobody"), 7), None);
    }
}
