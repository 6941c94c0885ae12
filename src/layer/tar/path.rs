//! Names: from what a tar says to what a tree holds.
//!
//! Cleaning is lexical and knows no file system: leading `/` and `./` go, `//` and `/./` fold,
//! `..` takes back the component before it and stops at the root. Symlinks in a path are the
//! merge's business. A cleaned path has no empty, `.` or `..` component; the root is empty.

use super::error::Fault;

/// The longest name of one file, in bytes.
pub const COMPONENT_MAX: usize = 255;

/// The longest path and the longest symlink text, in bytes.
pub const PATH_MAX: usize = 4095;

/// A name as an archive gives it: up to two parts with a `/` between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawName<'a> {
    /// The prefix field of a ustar or star header; mostly empty.
    pub prefix: &'a [u8],
    /// The name field, or the whole name from an extension.
    pub base: &'a [u8],
}

impl<'a> RawName<'a> {
    /// A name in one part.
    pub fn whole(base: &'a [u8]) -> Self {
        Self { prefix: b"", base }
    }

    /// Whether the name, put together, has no byte.
    pub fn is_empty(self) -> bool {
        self.prefix.is_empty() && self.base.is_empty()
    }

    /// Whether the name, put together, ends with a `/`.
    pub fn ends_with_slash(self) -> bool {
        self.base.ends_with(b"/") || (self.base.is_empty() && !self.prefix.is_empty())
    }

    /// The name, put together.
    pub fn to_vec(self) -> Vec<u8> {
        if self.prefix.is_empty() {
            return self.base.to_vec();
        }
        [self.prefix, b"/", self.base].concat()
    }
}

/// A cleaned path.
#[derive(Debug, PartialEq, Eq)]
pub struct Cleaned {
    /// The path; empty for the root.
    pub path: Vec<u8>,
    /// A `..` pointed above the root and had no effect.
    pub clamped: bool,
}

/// Cleans a name that is not empty.
pub fn clean(name: RawName<'_>) -> Result<Cleaned, Fault> {
    let mut path = Vec::with_capacity(name.prefix.len() + name.base.len() + 1);
    let mut clamped = false;
    for part in [name.prefix, name.base] {
        for component in part.split(|byte| *byte == b'/') {
            match component {
                b"" | b"." => {}
                b".." if path.is_empty() => clamped = true,
                b".." => {
                    let parent = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                    path.truncate(parent);
                }
                _ if component.len() > COMPONENT_MAX => {
                    return Err(Fault::LongComponent { length: component.len() });
                }
                _ => {
                    if !path.is_empty() {
                        path.push(b'/');
                    }
                    path.extend_from_slice(component);
                }
            }
        }
    }
    if path.len() > PATH_MAX {
        return Err(Fault::LongPath);
    }
    Ok(Cleaned { path, clamped })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cleaned(name: &[u8]) -> (Vec<u8>, bool) {
        let cleaned = clean(RawName::whole(name)).expect("a name that can be cleaned");
        (cleaned.path, cleaned.clamped)
    }

    #[test]
    fn slashes_and_dots_fold() {
        for name in [&b"a/b"[..], b"/a/b", b"./a/b", b"//a//b//", b".//./a/././b/.", b"a/x/../b"] {
            assert_eq!(cleaned(name), (b"a/b".to_vec(), false), "{name:?}");
        }
    }

    #[test]
    fn the_root_is_the_empty_path() {
        for name in [&b"/"[..], b".", b"./", b"././/", b"a/.."] {
            assert_eq!(cleaned(name), (Vec::new(), false), "{name:?}");
        }
    }

    #[test]
    fn parents_stop_at_the_root() {
        assert_eq!(cleaned(b"../a"), (b"a".to_vec(), true));
        assert_eq!(cleaned(b"a/../../b"), (b"b".to_vec(), true));
        assert_eq!(cleaned(b".."), (Vec::new(), true));
        assert_eq!(cleaned(b"a/b/c/../../d"), (b"a/d".to_vec(), false));
    }

    #[test]
    fn dots_that_are_names_stay() {
        assert_eq!(cleaned(b"a/.../..b"), (b"a/.../..b".to_vec(), false));
    }

    #[test]
    fn a_prefix_is_a_directory() {
        let name = RawName { prefix: b"usr/", base: b"./lib" };
        assert_eq!(clean(name).expect("clean").path, b"usr/lib");
        assert!(RawName { prefix: b"usr", base: b"" }.ends_with_slash());
        assert!(!RawName { prefix: b"", base: b"" }.ends_with_slash());
    }

    #[test]
    fn bounds_are_exact() {
        assert!(clean(RawName::whole(&[b'a'; 255])).is_ok());
        let long = clean(RawName::whole(&[b'a'; 256]));
        assert_eq!(long, Err(Fault::LongComponent { length: 256 }));
        let mut path = b"ab/".repeat(1365);
        path.push(b'/');
        assert_eq!(cleaned(&path).0.len(), 4094);
        path.extend_from_slice(b"c");
        assert_eq!(clean(RawName::whole(&path)), Err(Fault::LongPath));
    }
}
