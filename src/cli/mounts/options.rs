//! `-o`: Shale's own mount options, and the words that fstab has for every file system.

use crate::cli::error::Error;
use crate::mount::Options;

/// Words that ask for what a mount is anyway, or that concern others: mount(8), systemd.
const GENERIC: [&str; 32] = [
    "ro",
    "nosuid",
    "nodev",
    "exec",
    "auto",
    "noauto",
    "nofail",
    "user",
    "nouser",
    "users",
    "owner",
    "group",
    "_netdev",
    "defaults",
    "default_permissions",
    "atime",
    "noatime",
    "diratime",
    "nodiratime",
    "relatime",
    "norelatime",
    "strictatime",
    "nostrictatime",
    "lazytime",
    "nolazytime",
    "sync",
    "async",
    "dirsync",
    "silent",
    "loud",
    "mand",
    "nomand",
];

/// Whether a word concerns mount(8) or systemd alone.
pub fn is_generic(word: &str) -> bool {
    let key = word.split('=').next().unwrap_or_default();
    GENERIC.contains(&key)
        || key.starts_with("x-")
        || key.starts_with("X-")
        || key == "comment"
        || key == "iversion"
        || key == "noiversion"
}

/// Reads the words of `-o`.
pub fn parse(words: &[String]) -> Result<Options, Error> {
    let mut options = Options::default();
    for word in words.iter().filter(|word| !word.is_empty()) {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        let id = || {
            value.parse::<u32>().map_err(|_| Error::usage(format!("-o {word}: not a numeric ID")))
        };
        match key {
            "allow_other" => options.allow_other = Some(true),
            "private" => options.allow_other = Some(false),
            "auto_unmount" => options.auto_unmount = true,
            "suid" => options.suid = true,
            "dev" => options.dev = true,
            "noexec" => options.noexec = true,
            "provenance" => options.provenance = true,
            "uid" => options.uid = Some(id()?),
            "gid" => options.gid = Some(id()?),
            "fsname" => options.source = Some(value.to_owned()),
            "rw" => {
                return Err(Error::usage("-o rw: an image is mounted read-only")
                    .hint("`shale chroot` gives a writable view that is forgotten or kept"));
            }
            _ if is_generic(word) => {}
            _ => {
                return Err(Error::usage(format!("-o {word}: unknown mount option"))
                    .hint("`shale mount --help` lists them"));
            }
        }
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Result<Options, Error> {
        parse(&line.split(',').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn own_options_have_their_effect() {
        let options =
            of("allow_other,suid,dev,noexec,auto_unmount,uid=7,gid=8,fsname=a").expect("valid");
        assert_eq!((options.allow_other, options.uid, options.gid), (Some(true), Some(7), Some(8)));
        assert!(options.suid && options.dev && options.noexec && options.auto_unmount);
        assert_eq!(options.source.as_deref(), Some("a"));
    }

    #[test]
    fn words_of_fstab_are_accepted() {
        let line = "defaults,ro,noauto,nofail,_netdev,user=me,x-systemd.automount,\
                    x-systemd.idle-timeout=1min,X-mount.mkdir,comment=a,noatime,,iversion";
        assert!(of(line).is_ok());
    }

    #[test]
    fn others_are_refused() {
        for (line, words) in [
            ("ro,nonsense", "unknown"),
            ("uid=me", "numeric"),
            ("rw", "read-only"),
            ("remount", "unknown"),
        ] {
            let (message, _) = of(line).expect_err(line).words().expect("words");
            assert!(message.contains(words), "{line}: {message}");
        }
    }
}
