//! Who is who in a user namespace: how a normal user becomes root of an image, and of nothing else.
//!
//! With `newuidmap` and ranges in /etc/subuid (or whatever the system's name service has instead), as
//! podman and docker's rootless mode use them, all users of the image exist inside. Without, one
//! does: the caller appears as root and every file belongs to it. The same holds for who comes with a
//! user namespace already (`unshare -r`): what it maps is read, not assumed.

use std::fs;
use std::io::{self, Write};
use std::process::{Child, Command, Stdio};

use rustix::process::{getgid, getuid};
use rustix::thread::UnshareFlags;

use super::user::User;
use crate::sys::namespace;

/// Lines that a map may have (user_namespaces(7)).
const MOST_RANGES: usize = 340;

/// The users and groups that exist in this process's user namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identities {
    pub(super) users: Map,
    pub(super) groups: Map,
    /// Supplementary groups may be changed.
    pub(super) setgroups: bool,
}

/// Ranges of numbers: the first, and how many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Map(Vec<(u32, u32)>);

impl Map {
    fn parse(text: &str) -> Self {
        let range = |line: &str| {
            let mut fields = line.split_ascii_whitespace();
            Some((fields.next()?.parse().ok()?, fields.nth(1)?.parse().ok()?))
        };
        Self(text.lines().filter_map(range).collect())
    }

    /// Whether this number means somebody.
    pub(super) fn has(&self, id: u32) -> bool {
        self.0.iter().any(|&(first, count)| id >= first && id - first < count)
    }

    fn is_single(&self) -> bool {
        matches!(self.0[..], [(_, 1)])
    }
}

impl std::fmt::Display for Map {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (number, &(first, count)) in self.0.iter().enumerate() {
            let separator = if number == 0 { "" } else { ", " };
            match count {
                1 => write!(f, "{separator}{first}")?,
                _ => write!(f, "{separator}{first} to {}", first.saturating_add(count - 1))?,
            }
        }
        Ok(())
    }
}

impl Identities {
    /// Of this process. A kernel without user namespaces has everybody.
    pub(super) fn of_this_process() -> Self {
        let map = |file: &str| {
            let text = fs::read_to_string(format!("/proc/self/{file}"));
            Map::parse(text.as_deref().unwrap_or("0 0 4294967295"))
        };
        let setgroups = fs::read_to_string("/proc/self/setgroups");
        let setgroups = setgroups.map_or(true, |text| text.trim() != "deny");
        Self { users: map("uid_map"), groups: map("gid_map"), setgroups }
    }

    /// Whether `user`, whom the caller or the image calls `wanted`, exists here, with all groups
    /// where `insists`.
    ///
    /// # Errors
    /// Who does not, and who does.
    pub(super) fn check(&self, wanted: &str, user: &User, insists: bool) -> Result<(), String> {
        if insists && (self.is_single() || !self.setgroups) {
            return Err("--group-add: this user namespace does not allow further groups".to_owned());
        }
        if self.is_single() {
            return Ok(());
        }
        let absent = |what: &str, id: u32, map: &Map| {
            Err(format!(
                "user {wanted:?}: {what} {id} is not in this user namespace, which has {map}"
            ))
        };
        let mut groups = [user.gid].into_iter().chain(user.groups.iter().copied());
        match groups.find(|gid| !self.groups.has(*gid)) {
            Some(gid) => absent("the group", gid, &self.groups),
            None if !self.users.has(user.uid) => absent("the user", user.uid, &self.users),
            None => Ok(()),
        }
    }

    /// There is one user, or one group: it takes whatever number is wanted.
    pub(super) fn is_single(&self) -> bool {
        self.users.is_single() || self.groups.is_single()
    }
}

/// Moves this process, which must have one thread, into a new user namespace together with
/// `others`, where it is root.
///
/// # Errors
/// User namespaces are switched off, or the maps were refused.
pub(super) fn become_root(others: UnshareFlags) -> io::Result<()> {
    let (uid, gid) = (getuid().as_raw(), getgid().as_raw());
    let name = name_of(uid);
    let (users, groups) = (ranges(Kind::Users, &name, uid), ranges(Kind::Groups, &name, uid));
    // The mapping programs must run outside the namespace, hence before it exists; they wait for
    // a line on their standard input.
    let helpers = if users.is_empty() || groups.is_empty() {
        None
    } else {
        waiting_helper("newuidmap", uid, &users).zip(waiting_helper("newgidmap", gid, &groups))
    };
    // Unsharing the user namespace together with others makes
    // the others belong to it.
    namespace::leave(UnshareFlags::NEWUSER | others)?;
    if let Some((users, groups)) = helpers
        && let (true, true) = (release(users), release(groups))
    {
        return Ok(());
    }
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("0 {uid} 1"))?;
    fs::write("/proc/self/gid_map", format!("0 {gid} 1"))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Users,
    Groups,
}

/// The user's name, from the system's name service where /etc/passwd does not have it.
fn name_of(uid: u32) -> String {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let number = uid.to_string();
    let line = passwd.lines().find(|line| line.split(':').nth(2) == Some(&number));
    let name = line.and_then(|line| line.split(':').next()).map(str::to_owned);
    name.or_else(|| said(Command::new("id").arg("-un"))).unwrap_or(number).trim().to_owned()
}

/// The subordinate numbers that the user has: as `getsubids` says, which asks the same service as
/// `newuidmap` does, or where that is missing as the file says (subuid(5)).
fn ranges(kind: Kind, name: &str, uid: u32) -> Vec<(u32, u32)> {
    let mut getsubids = Command::new("getsubids");
    getsubids.args((kind == Kind::Groups).then_some("-g")).arg(name);
    let found = match said(&mut getsubids) {
        Some(text) => parse_getsubids(&text),
        None => {
            let file = if kind == Kind::Users { "/etc/subuid" } else { "/etc/subgid" };
            parse_file(&fs::read_to_string(file).unwrap_or_default(), name, uid)
        }
    };
    found.into_iter().filter(|(_, count)| *count > 0).take(MOST_RANGES - 1).collect()
}

/// What a program that succeeds says.
fn said(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Lines `NUMBER: OWNER START COUNT`.
fn parse_getsubids(text: &str) -> Vec<(u32, u32)> {
    let range = |line: &str| {
        let mut fields = line.split_ascii_whitespace().rev();
        let count = fields.next()?.parse().ok()?;
        Some((fields.next()?.parse().ok()?, count))
    };
    text.lines().filter_map(range).collect()
}

/// Lines `OWNER:START:COUNT`.
fn parse_file(text: &str, name: &str, uid: u32) -> Vec<(u32, u32)> {
    let number = uid.to_string();
    let range = |line: &str| {
        let [owner, start, count] = line.split(':').collect::<Vec<_>>().try_into().ok()?;
        let range = (start.trim().parse().ok()?, count.trim().parse().ok()?);
        (owner == name || owner == number).then_some(range)
    };
    text.lines().filter_map(range).collect()
}

/// The arguments of `newuidmap` behind the process: the caller is 0, the ranges follow each other.
fn arguments(own: u32, ranges: &[(u32, u32)]) -> Vec<u32> {
    let mut words = vec![0, own, 1];
    let mut next: u32 = 1;
    for &(start, count) in ranges {
        // Numbers that there are none left for stay outside.
        let count = count.min(u32::MAX - next);
        words.extend([next, start, count]);
        next = next.saturating_add(count);
    }
    words
}

/// `newuidmap` or `newgidmap` for this process, waiting to be released.
fn waiting_helper(program: &str, own: u32, ranges: &[(u32, u32)]) -> Option<Child> {
    Command::new("/bin/sh")
        .args(["-c", "read -r go && exec \"$@\"", "sh", program, &std::process::id().to_string()])
        .args(arguments(own, ranges).into_iter().map(|number| number.to_string()))
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
        let text = "other:1:2\nbroken\nme:100000:65536\n1000:5:6\nme:7:0\nme:x:1\n";
        assert_eq!(parse_file(text, "me", 7), [(100_000, 65_536), (7, 0)]);
        assert_eq!(parse_file(text, "me", 1000), [(100_000, 65_536), (5, 6), (7, 0)]);
        assert!(parse_file(text, "nobody", 7).is_empty());
        let text = "0: me 100000 65536\n1: me 300000 10\n";
        assert_eq!(parse_getsubids(text), [(100_000, 65_536), (300_000, 10)]);
    }

    #[test]
    fn ranges_follow_each_other() {
        let words = arguments(1000, &[(100_000, 65_536), (300_000, 10)]);
        assert_eq!(words, [0, 1000, 1, 1, 100_000, 65_536, 65_537, 300_000, 10]);
    }

    #[test]
    fn a_map_says_who_there_is() {
        let map =
            Map::parse("         0       1000          1\n         1     100000      65536\n");
        assert!(map.has(0) && map.has(65_536) && !map.has(65_537) && !map.is_single());
        assert_eq!(map.to_string(), "0, 1 to 65536");
        assert!(Map::parse("0 1000 1\n").is_single());
        let all = Map::parse("0 0 4294967295\n");
        assert!(all.has(0) && all.has(u32::MAX - 1) && !all.has(u32::MAX));
    }
}
