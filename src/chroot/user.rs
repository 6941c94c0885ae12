//! Who a command runs as: the image's `User` resolved in the image's own `/etc/passwd` and
//! `/etc/group` (OCI config.md, "User": `user`, `uid`, `user:group`, `uid:gid` and mixtures).
//!
//! Pure functions over the files' bytes. Digits are a number, whatever the files name so; a number that
//! no line has is taken as it is, without a home. Numbers go to 2147483647, as docker and podman have it:
//! to the kernel the largest of 32 bits means "no change", and so root. Lines that are not well formed
//! are passed over, as the C library does; a line whose number is out of range is refused when it is
//! the one that counts.

/// The largest user or group number.
const LARGEST: u32 = i32::MAX.cast_unsigned();

/// A resolved user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Numeric user.
    pub uid: u32,
    /// Numeric primary group.
    pub gid: u32,
    /// Supplementary groups, without duplicates.
    pub groups: Vec<u32>,
    /// Home directory, `/` where the image names none.
    pub home: String,
}

/// Why a user cannot be resolved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UserError {
    /// A name that the image does not know.
    #[error("user {0:?}: the image's /etc/passwd does not name it")]
    UnknownUser(String),
    /// Likewise for a group.
    #[error("group {0:?}: the image's /etc/group does not name it")]
    UnknownGroup(String),
    /// A number that is none of a user or group.
    #[error("{what} {text:?}: out of range; users and groups are 0 to {LARGEST}")]
    OutOfRange {
        /// `user`, or `group`, and where the number stands.
        what: &'static str,
        /// As it is written.
        text: String,
    },
}

/// Resolves `wanted` (empty means root) in the bytes of the image's two files.
///
/// # Errors
/// A name that stands in neither file, a number out of range.
pub fn resolve(wanted: &str, passwd: &[u8], group: &[u8]) -> Result<User, UserError> {
    let (name, group_name) = match wanted.split_once(':') {
        Some((name, group_name)) => (name, Some(group_name)),
        None => (wanted, None),
    };
    let name = if name.is_empty() { "0" } else { name };
    let (uid, account) = if is_number(name) {
        let uid = number("user", name)?;
        (uid, accounts(passwd).find(|account| number("user", account.uid) == Ok(uid)))
    } else {
        let unknown = || UserError::UnknownUser(name.to_owned());
        let account = accounts(passwd).find(|account| account.name == name).ok_or_else(unknown)?;
        (number("user of /etc/passwd", account.uid)?, Some(account))
    };
    let home = account.as_ref().map_or("", |account| account.home);
    let home = if home.is_empty() { "/" } else { home }.to_owned();
    // Naming a group explicitly leaves the supplementary groups out, as Docker does.
    if let Some(group_name) = group_name.filter(|name| !name.is_empty()) {
        let gid = find_group(group_name, group)?;
        return Ok(User { uid, gid, groups: vec![gid], home });
    }
    let Some(account) = account else { return Ok(User { uid, gid: 0, groups: vec![0], home }) };
    let default_gid = number("group of /etc/passwd", account.gid)?;
    let mut supplementary = vec![default_gid];
    for entry in groups(group) {
        if entry.members.split(',').any(|name| name == account.name) {
            let gid = number("group of /etc/group", entry.gid)?;
            if !supplementary.contains(&gid) {
                supplementary.push(gid);
            }
        }
    }
    Ok(User { uid, gid: default_gid, groups: supplementary, home })
}

/// Adds groups (names, or numbers) to those that `user` is in.
///
/// # Errors
/// A name that is not in the image's /etc/group.
pub fn add_groups(user: &mut User, wanted: &[String], group: &[u8]) -> Result<(), UserError> {
    for name in wanted {
        let gid = find_group(name, group)?;
        if !user.groups.contains(&gid) {
            user.groups.push(gid);
        }
    }
    Ok(())
}

fn find_group(name: &str, group: &[u8]) -> Result<u32, UserError> {
    if is_number(name) {
        return number("group", name);
    }
    let entry = groups(group).find(|entry| entry.name == name);
    let entry = entry.ok_or_else(|| UserError::UnknownGroup(name.to_owned()))?;
    number("group of /etc/group", entry.gid)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The value of `text`, which consists of digits.
fn number(what: &'static str, text: &str) -> Result<u32, UserError> {
    let value = text.parse().ok().filter(|value| *value <= LARGEST);
    value.ok_or_else(|| UserError::OutOfRange { what, text: text.to_owned() })
}

/// A line of /etc/passwd, its numbers as they are written.
struct Account<'a> {
    name: &'a str,
    uid: &'a str,
    gid: &'a str,
    home: &'a str,
}

/// Likewise of /etc/group.
struct Group<'a> {
    name: &'a str,
    gid: &'a str,
    members: &'a str,
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = Vec<&str>> {
    bytes
        .split(|&byte| byte == b'\n')
        .filter_map(|line| std::str::from_utf8(line).ok())
        .map(|line| line.split(':').collect())
}

fn accounts(passwd: &[u8]) -> impl Iterator<Item = Account<'_>> {
    lines(passwd).filter_map(|fields| match fields[..] {
        [name, _, uid, gid, _, home, ..] if is_number(uid) && is_number(gid) => {
            Some(Account { name, uid, gid, home })
        }
        _ => None,
    })
}

fn groups(group: &[u8]) -> impl Iterator<Item = Group<'_>> {
    lines(group).filter_map(|fields| match fields[..] {
        [name, _, gid, members, ..] if is_number(gid) => Some(Group { name, gid, members }),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/bash\nbroken line\n\
        app:x:1000:1001:App:/home/app:/bin/sh\nnohome:x:7:7:::\n";
    const GROUP: &[u8] = b"root:x:0:\napp:x:1001:\nwheel:x:10:root,app\nvideo:x:44:app\n";

    fn who(wanted: &str) -> Result<(u32, u32, Vec<u32>, String), UserError> {
        resolve(wanted, PASSWD, GROUP).map(|user| (user.uid, user.gid, user.groups, user.home))
    }

    #[test]
    fn names_numbers_and_groups() {
        assert_eq!(who(""), Ok((0, 0, vec![0, 10], "/root".into())));
        assert_eq!(who("app"), Ok((1000, 1001, vec![1001, 10, 44], "/home/app".into())));
        assert_eq!(who("1000"), who("app"));
        assert_eq!(who("app:video"), Ok((1000, 44, vec![44], "/home/app".into())));
        assert_eq!(who("app:5"), Ok((1000, 5, vec![5], "/home/app".into())));
        assert_eq!(who("4242"), Ok((4242, 0, vec![0], "/".into())));
        assert_eq!(who("4242:43"), Ok((4242, 43, vec![43], "/".into())));
        assert_eq!(who("nohome"), Ok((7, 7, vec![7], "/".into())));
    }

    #[test]
    fn further_groups_are_added_once() {
        let mut user = resolve("app", PASSWD, GROUP).expect("it is there");
        let wanted = ["video", "77", "root"].map(str::to_owned);
        assert_eq!(add_groups(&mut user, &wanted, GROUP), Ok(()));
        assert_eq!(user.groups, [1001, 10, 44, 77, 0]);
        let error = add_groups(&mut user, &["none".to_owned()], GROUP);
        assert_eq!(error, Err(UserError::UnknownGroup("none".into())));
    }

    #[test]
    fn unknown_names_are_errors() {
        assert_eq!(who("nobody"), Err(UserError::UnknownUser("nobody".into())));
        assert_eq!(who("app:none"), Err(UserError::UnknownGroup("none".into())));
    }

    #[test]
    fn digits_are_a_number_whatever_the_files_name_so() {
        let passwd = b"1000:x:0:0::/evil:/bin/sh\n-1:x:9:9::/:/bin/sh\n+5:x:0:0:::\n";
        let resolved = |wanted| resolve(wanted, passwd, b"7:x:0:\n").map(|u| (u.uid, u.gid));
        assert_eq!(resolved("1000"), Ok((1000, 0)));
        assert_eq!(resolved("01000"), Ok((1000, 0)));
        assert_eq!(resolved("1000:7"), Ok((1000, 7)));
        // What is no number is a name, and only that.
        assert_eq!(resolved("-1"), Ok((9, 9)));
        assert_eq!(resolved("+1000"), Err(UserError::UnknownUser("+1000".into())));
        assert_eq!(resolved("1000:+7"), Err(UserError::UnknownGroup("+7".into())));
    }

    #[test]
    fn numbers_out_of_range_are_refused_wherever_they_stand() {
        let passwd = b"max:x:2147483647:2147483647:::\nbig:x:2147483648:1:::\n\
            minus:x:4294967295:4294967295:::\nwide:x:4294967296:0:::\n\
            gid:x:5:4294967295:::\nmember:x:6:6:::\nhuge:x:99999999999999999999:0:::\n";
        let group = b"max:x:2147483647:\nbig:x:4294967295:member\n";
        let refused = |wanted: &str| {
            matches!(resolve(wanted, passwd, group), Err(UserError::OutOfRange { .. }))
        };
        assert!(resolve("max:max", passwd, group).is_ok());
        assert!(resolve("2147483647:2147483647", passwd, group).is_ok());
        for wanted in [
            "2147483648",
            "4294967295",
            "4294967296",
            "18446744073709551616",
            "0:4294967295",
            "4294967295:0",
            "big",
            "minus",
            "wide",
            "huge",
            "gid",
            "5",
            "member",
            "6",
            "max:big",
        ] {
            assert!(refused(wanted), "{wanted}: {:?}", resolve(wanted, passwd, group));
        }
    }

    #[test]
    fn an_image_without_the_files_still_has_root() {
        let user = resolve("", b"", b"").expect("numbers need no file");
        assert_eq!((user.uid, user.gid, user.home.as_str()), (0, 0, "/"));
    }
}
