//! What a command may do: capabilities, set-user-ID programs, device nodes. The words are docker's.
//!
//! The capabilities are a bound, for whatever the command becomes: they are taken from the bounding
//! set, from which no program brings them back.

use std::io;
use std::str::FromStr;

use rustix::io::Errno;
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities,
};

/// What docker leaves to a container (moby, oci/caps/defaults.go).
const DEFAULT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::MKNOD)
    .union(CapabilitySet::NET_RAW)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETFCAP)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::SYS_CHROOT)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::AUDIT_WRITE);

/// Capabilities in words: one (`NET_ADMIN`, `CAP_NET_ADMIN`, in any case), or `ALL`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities(CapabilitySet);

impl Capabilities {
    const ALL: Self = Self(CapabilitySet::all());
}

impl FromStr for Capabilities {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
        if name == "ALL" {
            return Ok(Self::ALL);
        }
        let known = CapabilitySet::from_name(name).map(Self);
        known.ok_or_else(|| "no such capability; capabilities(7) lists them".to_owned())
    }
}

/// What a command may do beyond reading, writing and running.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rights {
    /// Let set-user-ID bits and file capabilities have their effect. In a normal user's command they
    /// always do: they make nobody more than that user is.
    pub suid: bool,
    /// Let device nodes have their effect, those of volumes too.
    pub dev: bool,
    /// Capabilities beside docker's default ones.
    pub cap_add: Vec<Capabilities>,
    /// Default ones to do without.
    pub cap_drop: Vec<Capabilities>,
    /// All capabilities, and all of the above; what the kernel shows in /proc and /sys can be changed.
    pub privileged: bool,
}

impl Rights {
    /// Whether set-user-ID bits have their effect for root.
    pub(super) fn suid(&self) -> bool {
        self.suid || self.privileged
    }

    /// Whether device nodes have theirs.
    pub(super) fn dev(&self) -> bool {
        self.dev || self.privileged
    }

    /// The bound, by docker's rules: `ALL` added wins over the default, `ALL` dropped leaves what is
    /// added, and what is both added and dropped is there.
    fn bound(&self) -> CapabilitySet {
        let union = |words: &[Capabilities]| words.iter().map(|one| one.0).collect();
        let (add, drop): (CapabilitySet, CapabilitySet) =
            (union(&self.cap_add), union(&without_all(&self.cap_drop)));
        if self.privileged {
            CapabilitySet::all()
        } else if self.cap_add.contains(&Capabilities::ALL) {
            CapabilitySet::all() - drop
        } else if self.cap_drop.contains(&Capabilities::ALL) {
            add
        } else {
            (DEFAULT - drop) | add
        }
    }

    /// Takes every other capability from the bounding set of this process and from what it hands on.
    /// Not yet from what it has: it is about to become somebody.
    ///
    /// # Errors
    /// `CAP_SETPCAP` is missing, while there is something to take.
    pub(super) fn bind(&self) -> io::Result<()> {
        let bound = self.bound();
        for bit in 0..u64::BITS {
            let one = CapabilitySet::from_bits_retain(1 << bit);
            if bound.contains(one) {
                continue;
            }
            match rustix::thread::capability_is_in_bounding_set(one) {
                Ok(true) => remove_capability_from_bounding_set(one).map_err(no_right_to_bind)?,
                Ok(false) => {}
                // The kernel has no more.
                Err(Errno::INVAL) => break,
                Err(error) => return Err(error.into()),
            }
        }
        clear_ambient_capability_set()?;
        let now = capabilities(None)?;
        set_capabilities(None, CapabilitySets { inheritable: CapabilitySet::empty(), ..now })?;
        Ok(())
    }

    /// Gives up what the bound does not have; everything, where this process is not root.
    ///
    /// # Errors
    /// None that is documented: a process may always give up.
    pub(super) fn give_up(&self) -> io::Result<()> {
        let is_root = rustix::process::geteuid().is_root();
        let left = if is_root { self.bound() } else { CapabilitySet::empty() };
        let permitted = capabilities(None)?.permitted & left;
        let inheritable = CapabilitySet::empty();
        let sets = CapabilitySets { effective: permitted, permitted, inheritable };
        Ok(set_capabilities(None, sets)?)
    }
}

fn no_right_to_bind(error: Errno) -> io::Error {
    match error {
        Errno::PERM => io::Error::other(
            "to take capabilities from the command CAP_SETPCAP is needed; \
             `--privileged` leaves it what there is",
        ),
        other => other.into(),
    }
}

fn without_all(words: &[Capabilities]) -> Vec<Capabilities> {
    words.iter().copied().filter(|one| *one != Capabilities::ALL).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(add: &[&str], drop: &[&str]) -> CapabilitySet {
        let parse =
            |words: &[&str]| words.iter().map(|word| word.parse().expect("known")).collect();
        Rights { cap_add: parse(add), cap_drop: parse(drop), ..Rights::default() }.bound()
    }

    #[test]
    fn dockers_rules_of_adding_and_dropping() {
        let (admin, kill) = (CapabilitySet::SYS_ADMIN, CapabilitySet::KILL);
        // docker run alpine grep CapBnd /proc/self/status
        assert_eq!(bound(&[], &[]).bits(), 0xa804_25fb);
        assert_eq!(bound(&["sys_admin"], &["CAP_KILL"]), (DEFAULT - kill) | admin);
        assert_eq!(bound(&["KILL"], &["kill"]), DEFAULT);
        assert_eq!(bound(&["ALL"], &["KILL"]), CapabilitySet::all() - kill);
        assert_eq!(bound(&["cap_sys_admin"], &["all"]), admin);
        assert_eq!(bound(&["ALL"], &["ALL"]), CapabilitySet::all());
        assert_eq!(Rights { privileged: true, ..Rights::default() }.bound(), CapabilitySet::all());
    }

    #[test]
    fn words_that_are_no_capability() {
        for text in ["", "CAP_", "SYSADMIN", "all,kill", "_", "CAP_CAP_KILL"] {
            assert!(text.parse::<Capabilities>().is_err(), "{text:?}");
        }
    }
}
