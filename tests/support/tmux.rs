//! A terminal of tmux(1), with bash on it: what a person would type and see.

#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// The shell around the commands; `--norc` leaves out what the user of this machine likes.
const SHELL: [&str; 5] = ["env", "PS1=outer> ", "bash", "--norc", "-i"];

/// A server of tmux of its own, with one terminal of 80 columns and 24 rows.
pub struct Screen {
    socket: PathBuf,
}

impl Screen {
    /// Starts bash and waits for its prompt. `socket` is a path that nothing has.
    pub fn start(socket: PathBuf) -> Self {
        let screen = Self { socket };
        let size = ["new-session", "-d", "-x", "80", "-y", "24"];
        let started = screen.tmux(&[&size[..], &SHELL[..]].concat());
        assert!(started.status.success(), "{started:?}");
        screen.wait("outer>");
        screen
    }

    fn tmux(&self, words: &[&str]) -> Output {
        let mut tmux = Command::new("tmux");
        tmux.args(["-f", "/dev/null", "-S"]).arg(&self.socket).args(words);
        tmux.env_remove("TMUX").env("LC_ALL", "C.UTF-8").output().unwrap()
    }

    /// Types `text`, which holds no keys with names.
    pub fn text(&self, text: &str) {
        assert!(self.tmux(&["send-keys", "-l", text]).status.success());
    }

    /// Presses keys by tmux's names: `C-c`, `Enter`.
    pub fn key(&self, name: &str) {
        assert!(self.tmux(&["send-keys", name]).status.success());
    }

    /// Types a line.
    pub fn line(&self, text: &str) {
        self.text(text);
        self.key("Enter");
    }

    pub fn resize(&self, columns: u32, rows: u32) {
        let (columns, rows) = (columns.to_string(), rows.to_string());
        let resized = self.tmux(&["resize-window", "-x", &columns, "-y", &rows]);
        assert!(resized.status.success(), "{resized:?}");
    }

    /// Everything that was shown since the start, long lines in one piece, spaces at their ends cut.
    pub fn shown(&self) -> String {
        let output = self.tmux(&["capture-pane", "-p", "-J", "-S", "-"]);
        let text = String::from_utf8_lossy(&output.stdout);
        text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
    }

    /// Waits until `words` are shown. Write words into commands in two pieces (`wo''rds`), or what
    /// was typed is taken for what was said.
    #[track_caller]
    pub fn wait(&self, words: &str) {
        let start = Instant::now();
        loop {
            let shown = self.shown();
            if shown.contains(words) {
                return;
            }
            let late = start.elapsed() > Duration::from_secs(60);
            assert!(!late, "no {words:?} in:\n{}", shown.trim_end());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Takes the terminal away, as a connection that breaks does.
    pub fn hang_up(&self) {
        self.tmux(&["kill-session"]);
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}
