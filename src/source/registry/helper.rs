//! Credential helpers: programs `docker-credential-NAME` that know passwords.
//!
//! The server's name goes in by standard input, the answer is JSON on standard output; nothing
//! secret is ever an argument. A helper has a minute, since it may ask its user something.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde::Deserialize;

use super::credentials::Credential;
use crate::oci::escaped;
use crate::source::Secret;

const PATIENCE: Duration = Duration::from_secs(60);
const OUTPUT_LIMIT: u64 = 1024 * 1024;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Output {
    #[serde(default)]
    username: String,
    #[serde(default)]
    secret: String,
}

/// Asks the helper `name` for `server`; a helper that fails is a warning and knows nothing.
pub(super) fn get(name: &str, server: &str) -> Option<Credential> {
    // The name becomes part of a program's name and must not lead elsewhere.
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
    {
        log::warn!("credential helper {:?} has an impossible name", escaped(name).to_string());
        return None;
    }
    let program = format!("docker-credential-{name}");
    run(Path::new(&program), server).unwrap_or_else(|reason| {
        log::warn!("{program}: {}", escaped(&reason));
        None
    })
}

/// Runs a helper. The error says why it did not work, without its output.
pub(super) fn run(program: &Path, server: &str) -> Result<Option<Credential>, String> {
    let mut child = Command::new(program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| error.to_string())?;
    if let Some(mut input) = child.stdin.take() {
        // A helper may end without reading; its answer tells.
        let _ = writeln!(input, "{server}");
    }
    let output = collect(&mut child)?;
    let status = child.wait().map_err(|error| error.to_string())?;
    if !status.success() {
        let not_found = String::from_utf8_lossy(&output).contains("credentials not found");
        return if not_found { Ok(None) } else { Err(status.to_string()) };
    }
    let output: Output =
        serde_json::from_slice(&output).map_err(|_| "its answer is not JSON".to_owned())?;
    Ok(match (output.username.as_str(), output.secret.is_empty()) {
        (_, true) => None,
        ("<token>", _) => Some(Credential::Identity(Secret::new(output.secret))),
        (user, _) => Some(Credential::Password {
            user: user.to_owned(),
            password: Secret::new(output.secret),
        }),
    })
}

/// Standard output to its end, or an end to the helper.
fn collect(child: &mut Child) -> Result<Vec<u8>, String> {
    let Some(output) = child.stdout.take() else { return Ok(Vec::new()) };
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = output.take(OUTPUT_LIMIT).read_to_end(&mut bytes);
        // Nobody listens any more when the minute was over.
        let _ = send.send(bytes);
    });
    receive.recv_timeout(PATIENCE).map_err(|_| {
        // Either may fail only when the helper has just ended by itself.
        let _ = child.kill();
        let _ = child.wait();
        format!("no answer in {} s", PATIENCE.as_secs())
    })
}
