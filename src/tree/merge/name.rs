//! What an entry's path says before anything is looked up: a place in the tree, or a whiteout.
//!
//! Matched on the name alone, as image-spec's layer.md has it: what kind of entry a whiteout is
//! does not matter. AUFS left bookkeeping of its own in old layers; it is no part of the tree.

use super::error::Fault;

/// What a path stands for. `parent` is the path before the last component, empty for the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning<'a> {
    /// The root itself.
    Root,
    /// `name` in `parent`.
    Place { parent: &'a [u8], name: &'a [u8] },
    /// `.wh.NAME`: a lower `name` in `parent` is gone.
    Whiteout { parent: &'a [u8], name: &'a [u8] },
    /// `.wh..wh..opq`: all that is lower in `parent` is gone.
    Opaque { parent: &'a [u8] },
    /// AUFS's own: no part of the tree.
    Leftover,
}

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
const LEFTOVERS: [&[u8]; 3] = [b".wh..wh.aufs", b".wh..wh.plnk", b".wh..wh.orph"];

/// Reads a cleaned path.
pub(super) fn meaning(path: &[u8]) -> Result<Meaning<'_>, Fault> {
    if path.is_empty() {
        return Ok(Meaning::Root);
    }
    let (parent, name) = split(path);
    if let Some(hidden) = first_whiteout(parent) {
        return match LEFTOVERS.contains(&hidden) {
            true => Ok(Meaning::Leftover),
            false => Err(Fault::BelowWhiteout),
        };
    }
    let Some(hidden) = name.strip_prefix(WHITEOUT) else {
        return Ok(Meaning::Place { parent, name });
    };
    match hidden {
        _ if name == OPAQUE => Ok(Meaning::Opaque { parent }),
        _ if LEFTOVERS.contains(&name) => Ok(Meaning::Leftover),
        b"" | b"." | b".." => Err(Fault::WhiteoutName),
        _ if hidden.contains(&0) => Err(Fault::WhiteoutName),
        _ => Ok(Meaning::Whiteout { parent, name: hidden }),
    }
}

/// The path before the last component, and that component.
pub(super) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

/// Whether a component begins with `.wh.`, so that nothing visible can have it as its name.
pub(super) fn is_hidden(component: &[u8]) -> bool {
    component.starts_with(WHITEOUT)
}

/// The outermost component that begins with `.wh.`.
fn first_whiteout(path: &[u8]) -> Option<&[u8]> {
    // Nearly every path is done with this one search for the rare byte pair.
    if !path.windows(2).any(|pair| pair == b".w") {
        return None;
    }
    path.split(|&byte| byte == b'/').find(|component| is_hidden(component))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form() {
        let cases: [(&[u8], Result<Meaning<'_>, Fault>); 14] = [
            (b"", Ok(Meaning::Root)),
            (b"a", Ok(Meaning::Place { parent: b"", name: b"a" })),
            (b"a/b/c", Ok(Meaning::Place { parent: b"a/b", name: b"c" })),
            (b"a/.wh", Ok(Meaning::Place { parent: b"a", name: b".wh" })),
            (b"a.wh.b/c", Ok(Meaning::Place { parent: b"a.wh.b", name: b"c" })),
            (b"a/.wh.b", Ok(Meaning::Whiteout { parent: b"a", name: b"b" })),
            (b".wh..wh.b", Ok(Meaning::Whiteout { parent: b"", name: b".wh.b" })),
            (b"a/.wh..wh..opq", Ok(Meaning::Opaque { parent: b"a" })),
            (b".wh..wh.plnk/1.2", Ok(Meaning::Leftover)),
            (b"a/.wh..wh.aufs", Ok(Meaning::Leftover)),
            (b"a/.wh.", Err(Fault::WhiteoutName)),
            (b".wh...", Err(Fault::WhiteoutName)),
            (b".wh.a\0", Err(Fault::WhiteoutName)),
            (b".wh.a/b", Err(Fault::BelowWhiteout)),
        ];
        for (path, expected) in cases {
            assert_eq!(meaning(path), expected, "{:?}", String::from_utf8_lossy(path));
        }
    }
}
