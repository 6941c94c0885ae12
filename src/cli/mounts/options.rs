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

/// Cuts a text at its commas, as mount(8) and libfuse do: not inside double quotes, and not after a
/// backslash. Quotes are taken off, and a backslash before a comma, a backslash or a quote.
pub fn split(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let word = match words.last_mut() {
            Some(word) if letter != ',' || quoted => word,
            _ => {
                words.push(String::new());
                continue;
            }
        };
        match (letter, letters.peek().copied()) {
            ('"', _) => quoted = !quoted,
            ('\\', Some(next @ (',' | '\\' | '"'))) => {
                word.push(next);
                letters.next();
            }
            _ => word.push(letter),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// The text of which [`split`] makes these words.
pub fn join(words: &[String]) -> String {
    let escaped = |letter| match letter {
        ',' | '\\' | '"' => format!("\\{letter}"),
        letter => letter.to_string(),
    };
    let words = words.iter().map(|word| word.chars().map(escaped).collect::<String>());
    words.collect::<Vec<_>>().join(",")
}

/// Reads the texts of `-o`.
pub fn parse_all(texts: &[String]) -> Result<Options, Error> {
    parse(&texts.iter().flat_map(|text| split(text)).collect::<Vec<_>>())
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
            "deny_other" => options.allow_other = Some(false),
            "auto_unmount" => options.auto_unmount = true,
            // mount(8) keeps the first of each pair for itself.
            "suid" | "allow_suid" => options.suid = true,
            "dev" | "allow_dev" => options.dev = true,
            "noexec" => options.noexec = true,
            "provenance" => options.provenance = true,
            "uid" => options.uid = Some(id()?),
            "gid" => options.gid = Some(id()?),
            "fsname" => options.source = Some(value.to_owned()),
            _ if is_generic(word) => {}
            _ => return Err(refusal(word, key)),
        }
    }
    Ok(options)
}

/// Why a word is no option, and what to write in its place.
fn refusal(word: &str, key: &str) -> Error {
    let refuse = |why: &str, hint: &str| Error::usage(format!("-o {word}: {why}")).hint(hint);
    match key {
        "rw" => refuse(
            "an image is mounted read-only",
            "`shale chroot` gives a writable view that is forgotten or kept",
        ),
        "remount" => {
            refuse("a mount of an image cannot be changed", "unmount it, and mount it again")
        }
        "nosymfollow" => refuse(
            "not for mounts of images",
            "mount without it, then `mount -o remount,bind,nosymfollow DIR`",
        ),
        "context" | "fscontext" | "defcontext" | "rootcontext" => {
            refuse("SELinux contexts cannot be given", "the image's own attributes are shown")
        }
        "private" | "rprivate" | "shared" | "rshared" | "slave" | "rslave" | "unbindable"
        | "runbindable" => refuse(
            "a kind of propagation, which mount(8) sets",
            "`deny_other` keeps other users out",
        ),
        "bind" | "rbind" | "move" => {
            refuse("mount(8) does that, without a type", "`mount --bind FROM TO`")
        }
        _ => refuse("unknown mount option", "`shale mount --help` lists them"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Result<Options, Error> {
        parse_all(&[line.to_owned()])
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
            ("remount,ro", "cannot be changed"),
            ("nosymfollow", "not for mounts of images"),
            ("context=\"system_u:object_r:x_t:s0:c1,c2\"", "SELinux"),
            ("private", "propagation"),
            ("rbind", "mount(8)"),
            ("uid=-1", "numeric"),
            ("uid=4294967296", "numeric"),
        ] {
            let (message, _) = of(line).expect_err(line).words().expect("words");
            assert!(message.contains(words), "{line}: {message}");
        }
    }

    #[test]
    fn words_for_mount_8_are_those_that_it_passes_on() {
        let options = of("allow_suid,allow_dev,deny_other").expect("valid");
        assert!(options.suid && options.dev);
        assert_eq!(options.allow_other, Some(false));
    }

    #[test]
    fn commas_quotes_and_backslashes() {
        for (text, words) in [
            ("a,b", &["a", "b"][..]),
            (",,a,,", &["a"]),
            ("fsname=a\\,b,ro", &["fsname=a,b", "ro"]),
            ("context=\"a,b\",ro", &["context=a,b", "ro"]),
            ("a\\b,c\\\\,d", &["a\\b", "c\\", "d"]),
            ("a=\"never closed,b", &["a=never closed,b"]),
            ("", &[]),
        ] {
            assert_eq!(split(text), words, "{text}");
        }
    }

    #[test]
    fn what_is_joined_is_split_into_the_same_words() {
        let letters = [",", "\\", "\"", "a", "=", " ", "\u{e9}"];
        // Every text of up to five of these letters, in pairs.
        let mut texts = vec![String::new()];
        for _ in 0..4 {
            let longer =
                texts.iter().flat_map(|text| letters.map(|letter| format!("{text}{letter}")));
            texts = longer.chain(["x".to_owned()]).collect();
        }
        for pair in texts.windows(2) {
            assert_eq!(split(&join(pair)), pair);
        }
    }
}
