//! The limits of a process (`getrlimit(2)`): a server needs more than a shell's `ulimit` may leave.
//!
//! A program whose memory is refused cannot go on (Rust ends it), and one without descriptors
//! answers with errors: both are told before anything is served.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that a server has open at the same time, at most: of a hundred layers two or three
/// each, and its own.
const FILES: u64 = 400;

/// With fewer than these there is no room for the layers that a few readers need at the same time.
const FEWEST_FILES: u64 = 200;

/// Addresses that a server uses: stacks and arenas of its threads, and tables of large images, which
/// are mapped and not read.
const ADDRESSES: u64 = 1 << 30;

/// A limit that leaves too little to serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the limit of {what} is {limit} (ulimit {flag}), and serving an image needs {least}")]
pub struct TooLow {
    what: &'static str,
    flag: &'static str,
    limit: u64,
    least: u64,
}

/// The limits that were, of a process that has raised them.
#[derive(Debug)]
pub struct Raised([(Resource, Rlimit); 3]);

impl Raised {
    /// Raises the limits of this process to what a server may use, as far as it is allowed to.
    ///
    /// # Errors
    /// That is too little; everything is then as before.
    pub fn new() -> Result<Self, TooLow> {
        let raised = Self([
            (Resource::Nofile, raise(Resource::Nofile, Some(FILES))),
            (Resource::As, raise(Resource::As, None)),
            (Resource::Fsize, raise(Resource::Fsize, None)),
        ]);
        let files = ("open files", "-n", Resource::Nofile, FEWEST_FILES);
        let memory = ("address space in KiB", "-v", Resource::As, ADDRESSES >> 10);
        for (what, flag, resource, least) in [files, memory] {
            let limit = getrlimit(resource).current;
            let limit = limit.map(|limit| if flag == "-v" { limit >> 10 } else { limit });
            if let Some(limit) = limit.filter(|limit| *limit < least) {
                raised.undo();
                return Err(TooLow { what, flag, limit, least });
            }
        }
        Ok(raised)
    }

    /// Puts back what was: for a program that is started next.
    pub fn undo(&self) {
        for (resource, before) in &self.0 {
            // To lower a limit is always allowed.
            let _ = setrlimit(*resource, *before);
        }
    }
}

/// Descriptors that this process may have open.
#[must_use]
pub fn files() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Raises one to `wanted`, `None` being no limit, or to what is allowed. Gives what was.
fn raise(resource: Resource, wanted: Option<u64>) -> Rlimit {
    let before = getrlimit(resource);
    let enough = |limit: Option<u64>| limit.is_none() || limit >= wanted && wanted.is_some();
    if enough(before.current) {
        return before;
    }
    let maximum = if enough(before.maximum) { before.maximum } else { wanted };
    let all = Rlimit { current: wanted, maximum };
    let allowed = Rlimit { current: before.maximum, maximum: before.maximum };
    // Beyond the hard limit only root can; what is left is judged by the caller.
    let _ = setrlimit(resource, all).or_else(|_| setrlimit(resource, allowed));
    before
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_comes_back() {
        let all = [Resource::Nofile, Resource::As, Resource::Fsize];
        let before = all.map(getrlimit);
        let raised = Raised::new().expect("a machine that runs tests has room");
        assert!(getrlimit(Resource::Nofile).current.is_none_or(|limit| limit >= FEWEST_FILES));
        raised.undo();
        assert_eq!(all.map(getrlimit), before);
    }

    #[test]
    fn a_limit_says_how_to_see_it() {
        let error = TooLow { what: "open files", flag: "-n", limit: 20, least: FEWEST_FILES };
        assert!(error.to_string().contains("ulimit -n"), "{error}");
    }
}
