//! `mount.fuse.shale`, the program under the name by which mount(8) calls it:
//!
//! ```text
//! mount -t fuse.shale -o OPTIONS IMAGE DIR, or a line of fstab
//!   -> mount.fuse.shale IMAGE DIR [-sfnv] [-t TYPE] -o OPTIONS
//!   -> shale -q [--root R] mount [--platform P] .. -o OPTIONS -- IMAGE DIR
//! ```
//!
//! Guarantees the exit codes of mount(8): 0 mounted, 1 wrong words, 32 not mounted. Does nothing
//! itself but put words in another order: `shale mount` is the one definition of what they mean.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::cli::error::Error;
use crate::cli::mounts::options::{is_generic, join, parse, split};

/// The name of the link.
pub const NAME: &str = "mount.fuse.shale";

/// mount(8): incorrect invocation.
const INVOCATION: u8 = 1;
/// mount(8): mount failure.
const FAILURE: u8 = 32;

const USAGE: &str = "usage: mount.fuse.shale IMAGE DIR [-sfnv] [-t TYPE] [-o OPTIONS]";

/// Options that are words of `shale mount` or `shale` of their own.
const LONG: [&str; 7] = ["platform", "pull", "layer", "upto", "limit", "authfile", "retry-for"];

/// The same without a value.
const FLAGS: [&str; 4] = ["supervise", "require-sandbox", "plain-http", "insecure"];

/// Whether the program was called by the helper's name.
pub fn is_called(words: &[OsString]) -> bool {
    let name = words.first().and_then(|word| Path::new(word).file_name());
    name == Some(OsStr::new(NAME))
}

/// What mount(8) wants.
#[derive(Debug, Default)]
struct Call {
    places: Vec<OsString>,
    options: Vec<String>,
    /// Pass over options that nobody knows.
    sloppy: bool,
    /// Do all but mount.
    fake: bool,
    verbose: bool,
}

/// The words of the `shale` command that does it; `None` when there is nothing to do.
pub fn translate(words: &[OsString]) -> Result<Option<Vec<OsString>>, Error> {
    let call = read(words)?;
    let [image, directory] = <[OsString; 2]>::try_from(call.places)
        .map_err(|_| Error::usage("IMAGE and DIR must be named").hint(USAGE))?;
    let (mut globals, mut own, mut rest) = (Vec::new(), Vec::new(), Vec::new());
    for word in call.options {
        match word.split_once('=') {
            Some(("root", value)) => globals.push(format!("--root={value}")),
            None if FLAGS.contains(&&*word) => own.push(format!("--{word}")),
            Some((key, value)) if LONG.contains(&key) => own.push(format!("--{key}={value}")),
            // mount(8) adds `rw` by itself: nobody need have asked for it.
            _ if word == "rw" || is_generic(&word) => {}
            _ if call.sloppy && parse(std::slice::from_ref(&word)).is_err() => {}
            _ => rest.push(word),
        }
    }
    parse(&rest)?;
    // mount(8) knows by the source that a line of fstab is mounted.
    if let Some(source) = image.to_str()
        && !rest.iter().any(|word| word.starts_with("fsname="))
    {
        rest.push(format!("fsname={source}"));
    }
    if call.fake {
        return Ok(None);
    }
    let quiet = if call.verbose { "--verbose" } else { "--quiet" };
    let words = ["shale".to_owned(), quiet.to_owned()].into_iter().chain(globals);
    let words = words.chain(["mount".to_owned()]).chain(own);
    let words = words.chain(["-o".to_owned(), join(&rest), "--".to_owned()]);
    Ok(Some(words.map(OsString::from).chain([image, directory]).collect()))
}

fn read(words: &[OsString]) -> Result<Call, Error> {
    let mut call = Call::default();
    let mut words = words.iter().skip(1);
    while let Some(word) = words.next() {
        let text = word.to_string_lossy();
        let mut value = |option: &str| match words.next() {
            Some(value) => Ok(value.to_string_lossy().into_owned()),
            None => Err(Error::usage(format!("{option} needs a value")).hint(USAGE)),
        };
        match &*text {
            "-o" => call.options.extend(split(&value("-o")?)),
            // The type is what we are called for.
            "-t" => drop(value("-t")?),
            _ if text.len() > 1 && text.starts_with('-') => flags(&mut call, &text)?,
            _ => call.places.push(word.clone()),
        }
    }
    Ok(call)
}

fn flags(call: &mut Call, text: &str) -> Result<(), Error> {
    for letter in text.chars().skip(1) {
        match letter {
            's' => call.sloppy = true,
            'f' => call.fake = true,
            'v' => call.verbose = true,
            // There is no mtab to be left alone.
            'n' => {}
            _ => return Err(Error::usage(format!("{text}: unknown option")).hint(USAGE)),
        }
    }
    Ok(())
}

/// mount(8)'s word for one of our exit statuses.
pub fn status(status: u8) -> u8 {
    match status {
        0 => 0,
        crate::cli::error::status::USAGE => INVOCATION,
        _ => FAILURE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(line: &str) -> Result<Option<String>, Error> {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let words = translate(&words)?;
        Ok(words.map(|words| words.join(OsStr::new(" ")).into_string().expect("text")))
    }

    #[test]
    fn mount_8_is_understood() {
        let line = "mount.fuse.shale debian:12 /mnt -n -t fuse.shale \
                    -o rw,noatime,x-systemd.automount,platform=linux/arm64,root=/s,allow_other";
        let wanted = "shale --quiet --root=/s mount --platform=linux/arm64 \
                      -o allow_other,fsname=debian:12 -- debian:12 /mnt";
        assert_eq!(translated(line).expect("valid").as_deref(), Some(wanted));
        let line = "m a b -o supervise,require-sandbox,plain-http,insecure,limit=xattrs=7,\
                    limit=ratio=9,authfile=/a,retry-for=60s,fsname=a\\,b,allow_suid,deny_other";
        let wanted = "shale --quiet mount --supervise --require-sandbox --plain-http --insecure \
                      --limit=xattrs=7 --limit=ratio=9 --authfile=/a --retry-for=60s \
                      -o fsname=a\\,b,allow_suid,deny_other -- a b";
        assert_eq!(translated(line).expect("valid").as_deref(), Some(wanted));
        assert_eq!(translated("m a b -fv").expect("valid"), None);
    }

    #[test]
    fn unknown_words_are_errors_unless_sloppy() {
        assert!(translated("m a b -o nonsense").is_err());
        let sloppy = translated("m a b -sv -o nonsense,layer=1").expect("valid");
        assert_eq!(sloppy.as_deref(), Some("shale --verbose mount --layer=1 -o fsname=a -- a b"));
        for line in ["m a", "m a b c", "m a b -x", "m a b -o"] {
            assert!(translated(line).is_err(), "{line}");
        }
    }

    #[test]
    fn the_name_decides() {
        let called = |name: &str| is_called(&[OsString::from(name)]);
        assert!(called("/sbin/mount.fuse.shale") && called("mount.fuse.shale"));
        assert!(!called("/usr/bin/shale") && !is_called(&[]));
        assert_eq!([status(0), status(1), status(2), status(3)], [0, 32, 1, 32]);
    }
}
