//! Directories in memory that a command has beside the image, as docker's `--tmpfs` writes them:
//! `DIR` or `DIR:OPTION,OPTION..`.

use std::ffi::CString;
use std::path::PathBuf;

use rustix::mount::MountFlags;

/// Options that tmpfs itself reads (tmpfs(5)), each with a value.
const VALUES: [&str; 5] = ["size", "mode", "uid", "gid", "nr_inodes"];

/// An empty directory of its own, gone with the command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tmpfs {
    /// Where it appears, absolute.
    pub inside: PathBuf,
    pub(super) flags: MountFlags,
    pub(super) options: CString,
}

impl Tmpfs {
    /// With docker's defaults: everybody may write there, no programs, no devices.
    ///
    /// # Errors
    /// The option that is not one of those that are taken.
    pub fn new(inside: PathBuf, options: &str) -> Result<Self, String> {
        let mut flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        let mut values = vec!["mode=1777"];
        for option in options.split(',').filter(|option| !option.is_empty()) {
            match option {
                "rw" | "nosuid" | "nodev" | "noexec" => {}
                "exec" => flags.remove(MountFlags::NOEXEC),
                "ro" => flags.insert(MountFlags::RDONLY),
                _ if is_value(option) => values.push(option),
                _ => return Err(format!("{option:?} is none of {}", known())),
            }
        }
        let options = CString::new(values.join(",")).map_err(|error| error.to_string())?;
        Ok(Self { inside, flags, options })
    }
}

fn is_value(option: &str) -> bool {
    let plain = |value: &str| {
        !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'%')
    };
    option.split_once('=').is_some_and(|(name, value)| VALUES.contains(&name) && plain(value))
}

fn known() -> String {
    format!("ro, rw, exec, noexec, nosuid, nodev, {}=VALUE", VALUES.join("=VALUE, "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_a_list_of_good_ones() {
        let tmpfs = |options: &str| Tmpfs::new("/x".into(), options);
        let quiet = MountFlags::NOSUID | MountFlags::NODEV;
        let parsed = tmpfs("").expect("none");
        assert_eq!(parsed.flags, quiet | MountFlags::NOEXEC);
        assert_eq!(parsed.options.to_bytes(), b"mode=1777");
        let parsed = tmpfs("ro,exec,size=50%,uid=7").expect("known");
        assert_eq!(parsed.flags, quiet | MountFlags::RDONLY);
        assert_eq!(parsed.options.to_bytes(), b"mode=1777,size=50%,uid=7");
        for bad in ["suid", "dev", "lowerdir=/", "size", "size=", "size=1\0", "mode=07 7", "x"] {
            assert!(tmpfs(bad).is_err_and(|why| why.contains("nr_inodes")), "{bad}");
        }
    }
}
