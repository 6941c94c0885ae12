//! A shell inside an image on a terminal: keys, job control, window size, and the terminal given
//! back. script(1) is the terminal.

#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::real_parts::{Corpus, TestDir, run, shale};

/// A command on a terminal of its own.
struct Terminal {
    script: Child,
    shown: Arc<Mutex<String>>,
}

impl Terminal {
    /// Nothing but the command is on it: a shell around it, whichever the user has, would get the
    /// keys too, and may end by them.
    fn start(command: &str) -> Self {
        let command = format!("exec {command}");
        let mut script = Command::new("script")
            .args(["--quiet", "--flush", "--return", "--command", &command, "/dev/null"])
            .env("TERM", "vt100")
            .env("SHELL", "/bin/sh")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("script (Debian's bsdutils)");
        let shown = Arc::new(Mutex::new(String::new()));
        let (mut output, copy) = (script.stdout.take().unwrap(), Arc::clone(&shown));
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut piece) {
                copy.lock().unwrap().push_str(&String::from_utf8_lossy(&piece[..count]));
            }
        });
        Self { script, shown }
    }

    fn keys(&mut self, keys: &str) {
        let input = self.script.stdin.as_mut().unwrap();
        input.write_all(keys.as_bytes()).unwrap();
        input.flush().unwrap();
    }

    /// Waits until `words` are shown after what was waited for before; takes all up to there.
    fn wait(&mut self, words: &str) -> String {
        let start = Instant::now();
        loop {
            {
                let mut shown = self.shown.lock().unwrap();
                if let Some(at) = shown.find(words) {
                    return shown.drain(..at + words.len()).collect();
                }
                let late = start.elapsed() > Duration::from_secs(30);
                assert!(!late, "no {words:?} in {:?}", &*shown);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until everything on the terminal has ended, and gives the status.
    fn end(mut self) -> Option<i32> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.script.try_wait().unwrap() {
                return status.code();
            }
            assert!(start.elapsed() < Duration::from_secs(30), "the command does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.script.kill();
        let _ = self.script.wait();
    }
}

/// The words of `shale chroot` on a store that has the image, for a shell.
fn chroot(store: &TestDir, corpus: &Corpus) -> String {
    let image = corpus.oci("debian");
    run(shale(store).args(["pull", "-q", &image]).stdin(Stdio::null()));
    let program = env!("CARGO_BIN_EXE_shale");
    format!("{program} --root {} chroot {image}", store.path.display())
}

#[test]
fn a_shell_has_job_control() {
    let Some(corpus) = Corpus::find() else { return };
    let store = TestDir::new("store");
    let command = format!("{} bash --norc -i", chroot(&store, &corpus));
    let mut terminal = Terminal::start(&command);
    terminal.keys("PS1=; set +o history; echo $((40+2))ready\r");
    let greeting = terminal.wait("42ready");
    assert!(!greeting.contains("no job control"), "{greeting}");
    terminal.keys("sleep 97531\r");
    terminal.wait("sleep 97531");
    std::thread::sleep(Duration::from_millis(300));
    terminal.keys("\x03");
    terminal.keys("echo interrupted=$?\r");
    terminal.wait("interrupted=130");
    terminal.keys("sleep 97532\r");
    terminal.wait("sleep 97532");
    std::thread::sleep(Duration::from_millis(300));
    terminal.keys("\x1a");
    terminal.wait("Stopped");
    terminal.keys("bg; jobs; kill %1; wait; echo gone=$((1+1))\r");
    terminal.wait("Running");
    terminal.wait("gone=2");
    terminal.keys("tty; stty size; exit 7\r");
    terminal.wait("/dev/console");
    terminal.wait("0 0");
    assert_eq!(terminal.end(), Some(7));
}

#[test]
fn keys_reach_a_command_once_and_its_status_comes_back() {
    let Some(corpus) = Corpus::find() else { return };
    let store = TestDir::new("store");
    let inner = r#"n=0; trap "n=\$((n+1))" INT; echo started;
        while [ $n = 0 ]; do sleep 0.1; done; sleep 0.5; echo count=$n; exit 3"#;
    let command = format!("{} -- sh -c '{inner}'", chroot(&store, &corpus));
    let mut terminal = Terminal::start(&command);
    terminal.wait("started");
    terminal.keys("\x03");
    terminal.wait("count=1");
    assert_eq!(terminal.end(), Some(3));
}

#[test]
fn a_stopped_command_goes_on_and_the_caller_gets_the_terminal_back() {
    let Some(corpus) = Corpus::find() else { return };
    let store = TestDir::new("store");
    let chroot = chroot(&store, &corpus);
    let mut terminal = Terminal::start("bash --norc -i");
    terminal.keys("PS1=; echo $((40+2))ready\r");
    terminal.wait("42ready");
    // The whole job stops, and its file system does not forget to go on.
    terminal.keys(&format!(
        "{chroot} -- sh -c 'echo be''gun; sleep 1; cat /etc/debian_version; echo en''ded'\r"
    ));
    terminal.wait("begun");
    terminal.keys("\x1a");
    terminal.wait("Stopped");
    terminal.keys("fg\r");
    terminal.wait("ended");
    // A script, which has no job control of its own, reads from the terminal after a shell did.
    let script = format!("{chroot} bash --norc -i; read x; echo got:$x");
    terminal.keys(&format!("sh -c '{script}'\r"));
    terminal.wait("got:$x");
    terminal.keys("PS1=; echo $((40+3))ready\r");
    terminal.wait("43ready");
    terminal.keys("exit\r");
    terminal.wait("exit");
    std::thread::sleep(Duration::from_millis(300));
    terminal.keys("line\r");
    terminal.wait("got:line");
    terminal.keys("exit 6\r");
    assert_eq!(terminal.end(), Some(6));
}
