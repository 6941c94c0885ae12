//! Giving the terminal back.
//!
//! An interactive shell makes its own process group the terminal's foreground one. When it ends
//! without undoing that (it cannot: outside its PID namespace groups have other numbers), whoever
//! started us would be in the background for ever and get SIGTTIN at the next read.

use std::fs::File;

use rustix::process::{Pid, getpgrp, test_kill_process_group};
use rustix::termios::{tcgetpgrp, tcsetpgrp};

use crate::sys::signal::Blocked;

/// The terminal of this process, when this process was in its foreground.
#[derive(Debug)]
pub(super) struct Terminal(Option<(File, Pid)>);

impl Terminal {
    pub(super) fn remember() -> Self {
        let terminal = File::options().read(true).write(true).open("/dev/tty").ok();
        let own = getpgrp();
        let is_ours = |terminal: &File| tcgetpgrp(terminal).is_ok_and(|group| group == own);
        Self(terminal.filter(is_ours).map(|terminal| (terminal, own)))
    }

    /// Makes this process's group the foreground again, unless another living one has become it.
    pub(super) fn give_back(&self) {
        let Some((terminal, own)) = &self.0 else { return };
        let alive = |group: Pid| test_kill_process_group(group).is_ok();
        // An error: the foreground group has no number any more.
        if tcgetpgrp(terminal).is_ok_and(alive) {
            return;
        }
        // From the background, the attempt itself sends SIGTTOU.
        if Blocked::new(&[libc::SIGTTOU]).is_ok() {
            let _ = tcsetpgrp(terminal, *own);
        }
    }
}
