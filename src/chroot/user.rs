//! Who a command runs as: the image's `User` resolved in the image's own `/etc/passwd` and
//! `/etc/group` (OCI config.md, "User": `user`, `uid`, `user:group`, `uid:gid` and mixtures).
//!
//! Pure functions over the files' bytes. Lines that are not well formed are passed over, as the C
//! library does; a number that no line names is taken as it is, without a home.

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
}

/// Resolves `wanted` (empty means root) in the bytes of the image's two files.
///
/// # Errors
/// A name that stands in neither file.
pub fn resolve(wanted: &str, passwd: &[u8], group: &[u8]) -> Result<User, UserError> {
    let (name, group_name) = match wanted.split_once(':') {
        Some((name, group_name)) => (name, Some(group_name)),
        None => (wanted, None),
    };
    let name = if name.is_empty() { "0" } else { name };
    let number = name.parse::<u32>().ok();
    let account = accounts(passwd)
        .find(|account| account.name == name)
        .or_else(|| accounts(passwd).find(|account| Some(account.uid) == number));
    let (uid, default_gid) = match (&account, number) {
        (Some(account), _) => (account.uid, account.gid),
        (None, Some(number)) => (number, 0),
        (None, None) => return Err(UserError::UnknownUser(name.to_owned())),
    };
    let home = account.as_ref().map_or("", |account| account.home);
    let home = if home.is_empty() { "/" } else { home }.to_owned();
    // Naming a group explicitly leaves the supplementary groups out, as Docker does.
    if let Some(group_name) = group_name.filter(|name| !name.is_empty()) {
        let gid = find_group(group_name, group)?;
        return Ok(User { uid, gid, groups: vec![gid], home });
    }
    let mut supplementary = vec![default_gid];
    let member = account.as_ref().map(|account| account.name);
    for entry in groups(group) {
        if entry.members.split(',').any(|name| Some(name) == member)
            && !supplementary.contains(&entry.gid)
        {
            supplementary.push(entry.gid);
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
    groups(group)
        .find(|entry| entry.name == name)
        .map(|entry| entry.gid)
        .or_else(|| name.parse().ok())
        .ok_or_else(|| UserError::UnknownGroup(name.to_owned()))
}

struct Account<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

struct Group<'a> {
    name: &'a str,
    gid: u32,
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
        [name, _, uid, gid, _, home, ..] => {
            Some(Account { name, uid: uid.parse().ok()?, gid: gid.parse().ok()?, home })
        }
        _ => None,
    })
}

fn groups(group: &[u8]) -> impl Iterator<Item = Group<'_>> {
    lines(group).filter_map(|fields| match fields[..] {
        [name, _, gid, members, ..] => Some(Group { name, gid: gid.parse().ok()?, members }),
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
    fn an_image_without_the_files_still_has_root() {
        let user = resolve("", b"", b"").expect("numbers need no file");
        assert_eq!((user.uid, user.gid, user.home.as_str()), (0, 0, "/"));
    }
}
