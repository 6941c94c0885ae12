//! `login`: passwords for registries, kept where docker and podman read them.
//!
//! A password comes from a terminal without echo or from standard input, never from an argument.
//! While it is typed, a signal that ends or stops the program first gives the terminal its echo back.
//! It is tried before it is kept. It goes to the registry, and to the credential helper or the file
//! that docker's `config.json` says; it is in no message and no log.

use std::fs::File;
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::os::fd::AsRawFd;
use std::path::PathBuf;

use rustix::fs::MemfdFlags;
use rustix::process::Signal;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use serde_json::json;

use super::auth_file::AuthFile;
use super::{config_path, host};
use crate::cli::args::Login;
use crate::cli::context::Context;
use crate::cli::error::Error;
use crate::cli::images::pull::source_options;
use crate::source::registry::Registry;
use crate::source::{Options, Secret};
use crate::sys::signal::{Blocked, Received};

/// What ends or stops a program that asks for a password.
const SIGNALS: [i32; 5] = [
    Signal::INT.as_raw(),
    Signal::TERM.as_raw(),
    Signal::HUP.as_raw(),
    Signal::QUIT.as_raw(),
    Signal::TSTP.as_raw(),
];

/// The longest password that is read from standard input, in bytes. Tokens are long.
const LIMIT: u64 = 1 << 20;

/// `shale login`
pub fn login(context: &mut Context, args: &Login) -> Result<(), Error> {
    let host = host(&args.registry);
    let options = source_options(&args.connection);
    let mut file = AuthFile::open(config_path(&options)?)?;
    file.prepare(host)?;
    let (user, password) = credentials(args)?;
    check(host, &user, &password, &options)?;
    let place = file.set(host, &user, &password)?;
    if let Some(path) = place {
        context.out.message(&format!(
            "WARNING! The password is kept unencrypted in {}; a credential helper keeps it safer.",
            path.display()
        ));
    }
    context.out.message("Login Succeeded");
    Ok(())
}

fn credentials(args: &Login) -> Result<(String, Secret), Error> {
    if args.password_stdin {
        let user = args.username.clone();
        let user = user.ok_or_else(|| Error::usage("--password-stdin needs --username"))?;
        let mut text = String::new();
        let read = io::stdin().lock().take(LIMIT).read_to_string(&mut text);
        read.map_err(Error::io("standard input"))?;
        return checked(user, text.trim_end_matches(['\r', '\n']));
    }
    if !io::stdin().is_terminal() {
        return Err(Error::failed("login: standard input is no terminal to ask for a password")
            .hint("send the password through a pipe and say `--username USER --password-stdin`"));
    }
    let user = match &args.username {
        Some(user) => user.clone(),
        None => ask("Username: ")?,
    };
    let password = ask_hidden("Password: ")?;
    checked(user, &password)
}

fn checked(user: String, password: &str) -> Result<(String, Secret), Error> {
    if user.is_empty() || user.contains(':') {
        return Err(Error::failed("login: a user name has at least one character and no colon"));
    }
    if password.is_empty() {
        return Err(Error::failed("login: the password is empty"));
    }
    Ok((user, Secret::new(password)))
}

fn ask(question: &str) -> Result<String, Error> {
    // The answer counts, whether the question was seen or not.
    let _ = io::stderr().write_all(question.as_bytes());
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(Error::io("standard input"))?;
    Ok(answer.trim().to_owned())
}

/// Asks without showing what is typed.
fn ask_hidden(question: &str) -> Result<String, Error> {
    let terminal = io::stdin();
    let fail = |error: rustix::io::Errno| Error::io("terminal")(error.into());
    let shown = tcgetattr(&terminal).map_err(fail)?;
    let mut hidden = shown.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    let signals = Blocked::new(&SIGNALS).map_err(Error::io("signals"))?;
    {
        let (shown, hidden) = (shown.clone(), hidden.clone());
        std::thread::spawn(move || keep_terminal(signals, &shown, &hidden));
    }
    tcsetattr(&terminal, OptionalActions::Flush, &hidden).map_err(fail)?;
    let answer = ask(question);
    tcsetattr(&terminal, OptionalActions::Flush, &shown).map_err(fail)?;
    signals.release().map_err(Error::io("signals"))?;
    let _ = io::stderr().write_all(b"\n");
    answer
}

/// Takes the signals that end or stop the program, and lets them have their effect once the terminal
/// shows again what is typed. Runs until the program ends.
fn keep_terminal(mut signals: Blocked, shown: &Termios, hidden: &Termios) {
    // Nothing here can be told to anybody: what fails leaves the terminal as it is.
    while let Ok(Received { signal, .. }) = signals.wait() {
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, shown);
        let stops = signal == Signal::TSTP.as_raw();
        // A thread that waits for TSTP would take it again: it stops by another.
        let signal = if stops { Some(Signal::STOP) } else { Signal::from_named_raw(signal) };
        let released = signals.release();
        if let Some(signal) = signal {
            let _ = rustix::process::kill_process(rustix::process::getpid(), signal);
        }
        match (stops, released, Blocked::new(&SIGNALS)) {
            (true, Ok(()), Ok(blocked)) => signals = blocked,
            _ => return,
        }
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, hidden);
    }
}

/// Asks the registry whether it takes the password. The credentials that are looked up are those of
/// a file in memory, and no other.
fn check(host: &str, user: &str, password: &Secret, options: &Options) -> Result<(), Error> {
    let memory = rustix::fs::memfd_create("login", MemfdFlags::CLOEXEC);
    let mut file = File::from(memory.map_err(|error| Error::io("memory")(error.into()))?);
    let entry = json!({"auths": {host: {"username": user, "password": password.expose()}}});
    file.write_all(entry.to_string().as_bytes()).map_err(Error::io("memory"))?;
    let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    let options = Options { auth_files: vec![path], ..options.clone() };
    Ok(Registry::new(host, &options)?.check_access()?)
}
