//! A network of a test's own, where any address can be this machine's.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// A network namespace; it goes with the value.
pub struct NetNamespace(String);

impl NetNamespace {
    /// One in which its loopback device has `addresses`. Without root and `ip` says so loudly and
    /// gives `None`; in CI that is a failure.
    pub fn new(addresses: &[&str]) -> Option<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("shale-test-{}-{number}", std::process::id());
        if !rustix::process::geteuid().is_root() || !ip(&["netns", "add", &name]) {
            assert!(std::env::var_os("CI").is_none(), "CI must run the tests with networks");
            let _ = writeln!(io::stderr(), "\n*** NOT RUN: needs root and ip(8) ***\n");
            return None;
        }
        let namespace = Self(name);
        assert!(ip(&["-n", &namespace.0, "link", "set", "lo", "up"]));
        for address in addresses {
            let device = ["-n", &namespace.0, "address", "add", address, "dev", "lo"];
            assert!(ip(&device), "{address}");
        }
        Some(namespace)
    }

    /// Runs `work` in it, on a thread of its own; threads that it starts are in it too.
    pub fn run(&self, work: impl FnOnce() + Send) {
        let namespace = File::open(format!("/run/netns/{}", self.0)).expect("it is there");
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                let kind = Some(LinkNameSpaceType::Network);
                move_into_link_name_space(namespace.as_fd(), kind).expect("root may");
                work();
            });
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        });
    }
}

impl Drop for NetNamespace {
    fn drop(&mut self) {
        ip(&["netns", "delete", &self.0]);
    }
}

fn ip(words: &[&str]) -> bool {
    Command::new("ip").args(words).status().is_ok_and(|status| status.success())
}
