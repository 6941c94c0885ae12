//! Credential helpers: programs `docker-credential-NAME` that keep passwords.
//!
//! What a helper is told goes in by standard input, its answer is JSON on standard output; nothing
//! secret is ever an argument. A helper has a minute to answer and to end, since it may ask its user
//! something; then it is ended.

use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::Deserialize;
use serde_json::json;

use super::credentials::Credential;
use crate::oci::escaped;
use crate::source::Secret;
use crate::sys::process::readable_within;

const PATIENCE: Duration = Duration::from_secs(60);
const OUTPUT_LIMIT: u64 = 1024 * 1024;

/// A credential helper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Helper {
    program: String,
    patience: Duration,
}

/// Why a helper did not help. Its output is not shown.
#[derive(Debug, thiserror::Error)]
pub enum HelperError {
    /// The name becomes part of a program's name and must not lead elsewhere.
    #[error("a credential helper cannot be called {0:?}")]
    Name(String),
    /// It does not have what it was asked for.
    #[error("{program}: it knows nothing of {server}")]
    NotFound {
        /// Which helper.
        program: String,
        /// What was asked for.
        server: String,
    },
    /// It could not be started, failed, or did not end.
    #[error("{program} {action}: {reason}")]
    Failed {
        /// Which helper.
        program: String,
        /// What it was to do.
        action: &'static str,
        /// Why not.
        reason: String,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Output {
    #[serde(default)]
    username: String,
    #[serde(default)]
    secret: String,
}

impl Helper {
    /// The helper that configuration files call `name`.
    ///
    /// # Errors
    /// When no helper can be called so.
    pub fn new(name: &str) -> Result<Self, HelperError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if name.is_empty() || !name.bytes().all(plain) {
            return Err(HelperError::Name(escaped(name).to_string()));
        }
        Ok(Self { program: format!("docker-credential-{name}"), patience: PATIENCE })
    }

    /// What it keeps for `server`.
    ///
    /// # Errors
    /// When it does not work. Knowing nothing is no error.
    pub(super) fn get(&self, server: &str) -> Result<Option<Credential>, HelperError> {
        let output = match self.run("get", server, format!("{server}\n")) {
            Err(HelperError::NotFound { .. }) => return Ok(None),
            other => other?,
        };
        let output: Output = serde_json::from_slice(&output)
            .map_err(|_| self.failed("get", "its answer is not JSON".to_owned()))?;
        Ok(match (output.username.as_str(), output.secret.is_empty()) {
            (_, true) => None,
            ("<token>", _) => Some(Credential::Identity(Secret::new(output.secret))),
            (user, _) => Some(Credential::Password {
                user: user.to_owned(),
                password: Secret::new(output.secret),
            }),
        })
    }

    /// Lets it keep a password.
    ///
    /// # Errors
    /// When it does not.
    pub fn store(&self, server: &str, user: &str, password: &Secret) -> Result<(), HelperError> {
        let secret = json!({"ServerURL": server, "Username": user, "Secret": password.expose()});
        self.run("store", server, secret.to_string()).map(drop)
    }

    /// Lets it forget a password.
    ///
    /// # Errors
    /// When it does not, or there is none.
    pub fn erase(&self, server: &str) -> Result<(), HelperError> {
        self.run("erase", server, server.to_owned()).map(drop)
    }

    fn failed(&self, action: &'static str, reason: String) -> HelperError {
        HelperError::Failed { program: self.program.clone(), action, reason }
    }

    /// Runs it to its end, or to the end of patience.
    fn run(
        &self,
        action: &'static str,
        server: &str,
        input: String,
    ) -> Result<Vec<u8>, HelperError> {
        let began = Instant::now();
        let failed = |error: std::io::Error| self.failed(action, error.to_string());
        let mut child = Command::new(&self.program)
            .arg(action)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(failed)?;
        let input = Secret::new(input);
        if let Some(mut stdin) = child.stdin.take() {
            // A helper may end without reading, or never read: its answer tells.
            std::thread::spawn(move || stdin.write_all(input.expose().as_bytes()));
        }
        let result = self.output(&mut child).and_then(|output| {
            let left = self.patience.saturating_sub(began.elapsed());
            Ok((output, end_of(&mut child, left)?))
        });
        let (output, status) = match result {
            Ok((output, Some(status))) => (output, status),
            ended => {
                // Either may fail only when the helper has just ended by itself.
                let _ = child.kill();
                let _ = child.wait();
                let seconds = self.patience.as_secs();
                let reason = match ended {
                    Ok(_) => format!("it answered but did not end in {seconds} s"),
                    Err(error) if error.kind() == std::io::ErrorKind::TimedOut => {
                        format!("no answer in {seconds} s")
                    }
                    Err(error) => error.to_string(),
                };
                return Err(self.failed(action, reason));
            }
        };
        if status.success() {
            return Ok(output);
        }
        if String::from_utf8_lossy(&output).contains("credentials not found") {
            let (program, server) = (self.program.clone(), server.to_owned());
            return Err(HelperError::NotFound { program, server });
        }
        Err(self.failed(action, status.to_string()))
    }

    /// Standard output to its end.
    fn output(&self, child: &mut Child) -> std::io::Result<Vec<u8>> {
        let Some(output) = child.stdout.take() else { return Ok(Vec::new()) };
        let (send, receive) = mpsc::channel();
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let read = output.take(OUTPUT_LIMIT).read_to_end(&mut bytes).map(|_| bytes);
            // Nobody listens any more when patience was over.
            let _ = send.send(read);
        });
        receive
            .recv_timeout(self.patience)
            .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
    }
}

/// Waits for the end of `child`; `None` when it takes longer than `left`.
fn end_of(child: &mut Child, left: Duration) -> std::io::Result<Option<ExitStatus>> {
    let process = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    if readable_within(&process, left)? { child.wait().map(Some) } else { Ok(None) }
}

#[cfg(test)]
impl Helper {
    /// A program anywhere, with a patience of its own.
    pub(super) fn at(program: &std::path::Path, patience: Duration) -> Self {
        Self { program: program.display().to_string(), patience }
    }
}
