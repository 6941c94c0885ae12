//! The program with a store, a home and an environment of its own.

#![allow(dead_code, clippy::unwrap_used, reason = "each test binary uses its own part")]

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// What a run said.
#[derive(Debug)]
pub struct Said {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// A home with nothing in it.
pub struct Home {
    top: tempfile::TempDir,
}

impl Home {
    pub fn new() -> Self {
        Self { top: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.top.path().join(name)
    }

    /// A file in the home, with the folders above it.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Any program in this home.
    pub fn program(&self, name: &str) -> Command {
        let mut command = Command::new(name);
        command.env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.top.path()).env("TZ", "UTC").env("LANG", "C.UTF-8");
        command.env("SHALE_ROOT", self.path("store"));
        command.env("SHALE_CERTS_DIR", self.path("certs.d"));
        command.stdin(Stdio::null()).current_dir(self.top.path());
        command
    }

    pub fn shale(&self, words: &[&str]) -> Said {
        self.run(self.program(env!("CARGO_BIN_EXE_shale")).args(words), "")
    }

    /// With standard input.
    pub fn run(&self, command: &mut Command, input: &str) -> Said {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        // One that does not read its input may be gone already.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap().into()
    }

    /// Standard output of a run that must go well.
    pub fn ok(&self, words: &[&str]) -> String {
        let said = self.shale(words);
        assert_eq!(said.status, 0, "{words:?}: {}", said.stderr);
        said.stdout
    }

    /// Standard error of a run that must fail with `status`.
    pub fn fails(&self, status: i32, words: &[&str]) -> String {
        let said = self.shale(words);
        assert_eq!(said.status, status, "{words:?}: {}{}", said.stdout, said.stderr);
        said.stderr
    }
}
